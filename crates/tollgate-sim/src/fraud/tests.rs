//! The whole way: payments, rows, training, evaluation.

use super::*;
use tollgate_core::risk::DEFAULT_MODEL;

#[test]
fn training_is_deterministic_and_its_file_is_read_back() {
    let rows = rows(&generate(5, 20_000));
    let file = train_model(&rows, &[], "small").unwrap();
    assert_eq!(file, train_model(&rows, &[], "small").unwrap());
    let text = model_text(&file);
    assert_eq!(serde_json::from_str::<ModelFile>(&text).unwrap(), file);
    Model::from_json(&text).unwrap();
    let evaluated = evaluate(&Model::from_file(&file).unwrap(), &split(&rows)).unwrap();
    let [model, amount, rules] = &evaluated.measures;
    assert!(model.auc > 0.85 && model.auc > amount.auc && model.auc > rules.auc, "{evaluated}");
    for picture in [picture::roc, picture::precision_recall, picture::calibration] {
        let svg = picture(&evaluated);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.len() < 40_000);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}

#[test]
fn feedback_moves_the_model() {
    let rows = rows(&generate(5, 6_000));
    let before = train_model(&rows, &[], "before").unwrap();
    // Payments at three in the morning UTC turned out to be fraud.
    let fraud = |row: &Row| {
        let mut row = Row { fraud: true, weight: 5.0, ..*row };
        row.features[4] = 3;
        row
    };
    let feedback: Vec<Row> = rows.iter().filter(|row| !row.fraud).take(200).map(fraud).collect();
    let after = train_model(&rows, &feedback, "after").unwrap();
    let mean = |file: &ModelFile| {
        let model = Model::from_file(file).unwrap();
        feedback.iter().map(|row| model.evaluate(&row.features).raw).sum::<f64>() / 200.0
    };
    assert!(mean(&after) > mean(&before) + 1.0, "{} {}", mean(&before), mean(&after));
}

#[test]
fn the_built_in_model_is_what_training_gives() {
    let rows = rows(&generate(DEFAULT_SEED, DEFAULT_PAYMENTS));
    let file = train_model(&rows, &[], &synthetic_name(DEFAULT_SEED, DEFAULT_PAYMENTS)).unwrap();
    if let Ok(folder) = std::env::var("TOLLGATE_FRAUD_OUT") {
        let evaluated = evaluate(&Model::from_file(&file).unwrap(), &split(&rows)).unwrap();
        println!("{evaluated}");
        std::fs::write(format!("{folder}/model.json"), model_text(&file)).unwrap();
    }
    assert!(model_text(&file) == DEFAULT_MODEL, "train the built-in model again: docs/fraud.md says how");
}
