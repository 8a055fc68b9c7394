//! The reference page for people: one HTML document written from the OpenAPI document.
//!
//! No script, no outside asset. Everything that comes from the document is escaped; of its text only
//! a little Markdown is understood (paragraphs, `code`, **bold**, tables).

use serde_json::{Map, Value};
use std::fmt::Write as _;
use utoipa::openapi::OpenApi;

const STYLE: &str = include_str!("docs_page.css");

/// The page.
#[must_use]
pub fn render(document: &OpenApi) -> String {
    let document = serde_json::to_value(document).unwrap_or_default();
    let mut page = Page { out: String::with_capacity(128 * 1024), document: &document };
    page.write();
    page.out
}

struct Page<'a> {
    out: String,
    document: &'a Value,
}

impl Page<'_> {
    fn write(&mut self) {
        let title = escape(text(self.document, "/info/title"));
        let version = escape(text(self.document, "/info/version"));
        self.raw(&format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{title} API reference</title><style>{STYLE}</style></head><body>\
             <header><h1>{title} API <small>{version}</small></h1></header><div class=\"columns\">"
        ));
        let tags = self.tags();
        self.navigation(&tags);
        self.raw("<main><section id=\"introduction\">");
        let introduction = text(self.document, "/info/description").to_owned();
        self.markdown(&introduction);
        self.raw("</section>");
        for tag in &tags {
            self.tag(tag);
        }
        self.schemas();
        self.raw("</main></div></body></html>");
    }

    fn raw(&mut self, html: &str) {
        self.out.push_str(html);
    }

    fn tags(&self) -> Vec<(String, String)> {
        let tags = self.document.get("tags").and_then(Value::as_array);
        tags.into_iter()
            .flatten()
            .map(|tag| (text(tag, "/name").to_owned(), text(tag, "/description").to_owned()))
            .collect()
    }

    /// The operations of a tag: method, path and the operation itself.
    fn operations(&self, tag: &str) -> Vec<(String, String, Value)> {
        let mut found = Vec::new();
        for (path, item) in members(self.document.get("paths")) {
            for (method, operation) in members(Some(item)) {
                if text(operation, "/tags/0") == tag {
                    found.push((method.to_uppercase(), path.clone(), operation.clone()));
                }
            }
        }
        found
    }

    fn navigation(&mut self, tags: &[(String, String)]) {
        self.raw("<nav aria-label=\"Endpoints\"><a href=\"#introduction\">Introduction</a>");
        for (tag, _) in tags {
            self.raw(&format!("<h2>{}</h2>", escape(tag)));
            for (method, path, operation) in self.operations(tag) {
                self.raw(&format!(
                    "<a href=\"#{}\"><b>{}</b> {}</a>",
                    escape(text(&operation, "/operationId")),
                    escape(&method),
                    escape(&path)
                ));
            }
        }
        self.raw("<h2>Shapes</h2><a href=\"#schemas\">All shapes</a></nav>");
    }

    fn tag(&mut self, (tag, description): &(String, String)) {
        self.raw(&format!("<h2>{}</h2><p>{}</p>", escape(tag), escape(description)));
        for (method, path, operation) in self.operations(tag) {
            self.operation(&method, &path, &operation);
        }
    }

    fn operation(&mut self, method: &str, path: &str, operation: &Value) {
        self.raw(&format!(
            "<section class=\"operation\" id=\"{}\"><h3>{}</h3><p class=\"path\"><b>{}</b> <code>{}</code></p>",
            escape(text(operation, "/operationId")),
            escape(text(operation, "/summary")),
            escape(method),
            escape(path)
        ));
        self.markdown(text(operation, "/description"));
        if operation.get("security").is_none() {
            self.raw("<p class=\"note\">Needs no API key.</p>");
        }
        let parameters = operation.get("parameters").and_then(Value::as_array);
        if let Some(parameters) = parameters.filter(|list| !list.is_empty()) {
            self.raw(
                "<h4>Parameters</h4><table><tr><th>name</th><th>in</th><th>type</th><th>meaning</th></tr>",
            );
            for parameter in parameters {
                let required = parameter.get("required") == Some(&Value::Bool(true));
                let mark = if required { " <em>required</em>" } else { "" };
                let row = format!(
                    "<tr><td><code>{}</code>{mark}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                    escape(text(parameter, "/name")),
                    escape(text(parameter, "/in")),
                    type_of(parameter.get("schema").unwrap_or(&Value::Null)),
                    inline(text(parameter, "/description"))
                );
                self.raw(&row);
            }
            self.raw("</table>");
        }
        if let Some(body) = operation.get("requestBody") {
            self.raw("<h4>Body</h4>");
            self.content(body);
        }
        self.raw("<h4>Replies</h4><table><tr><th>status</th><th>shape</th><th>meaning</th></tr>");
        for (status, reply) in members(operation.get("responses")) {
            let shapes: Vec<String> = members(reply.get("content"))
                .map(|(_, content)| type_of(content.get("schema").unwrap_or(&Value::Null)))
                .collect();
            let row = format!(
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
                escape(status),
                shapes.join(", "),
                inline(text(reply, "/description"))
            );
            self.raw(&row);
        }
        self.raw("</table></section>");
    }

    fn content(&mut self, body: &Value) {
        self.markdown(text(body, "/description"));
        for (media, content) in members(body.get("content")) {
            let shape = type_of(content.get("schema").unwrap_or(&Value::Null));
            self.raw(&format!("<p>{shape} as <code>{}</code></p>", escape(media)));
        }
    }

    fn schemas(&mut self) {
        self.raw("<h2 id=\"schemas\">Shapes</h2>");
        let schemas = self.document.pointer("/components/schemas").cloned().unwrap_or_default();
        for (name, schema) in members(Some(&schemas)) {
            self.raw(&format!("<section class=\"schema\" id=\"schema-{0}\"><h3>{0}</h3>", escape(name)));
            self.markdown(text(schema, "/description"));
            let required = schema.get("required").and_then(Value::as_array);
            let is_required =
                |name: &str| required.is_some_and(|list| list.iter().any(|item| item.as_str() == Some(name)));
            let properties: Vec<(&String, &Value)> = members(schema.get("properties")).collect();
            if properties.is_empty() {
                let shape = type_of(schema);
                self.raw(&format!("<p>{shape}</p>"));
            } else {
                self.raw("<table><tr><th>field</th><th>type</th><th>meaning</th></tr>");
                for (field, property) in properties {
                    let mark = if is_required(field) { " <em>required</em>" } else { "" };
                    let row = format!(
                        "<tr><td><code>{}</code>{mark}</td><td>{}</td><td>{}</td></tr>",
                        escape(field),
                        type_of(property),
                        inline(text(property, "/description"))
                    );
                    self.raw(&row);
                }
                self.raw("</table>");
            }
            if let Some(example) = schema.get("example") {
                let example = serde_json::to_string_pretty(example).unwrap_or_default();
                self.raw(&format!("<pre>{}</pre>", escape(&example)));
            }
            self.raw("</section>");
        }
    }

    /// Paragraphs and tables.
    fn markdown(&mut self, markdown: &str) {
        for block in markdown.split("\n\n").filter(|block| !block.trim().is_empty()) {
            if block.starts_with('|') {
                self.table(block);
            } else {
                self.raw(&format!("<p>{}</p>", inline(block)));
            }
        }
    }

    fn table(&mut self, block: &str) {
        self.raw("<table>");
        for (place, line) in block.lines().enumerate().filter(|(place, _)| *place != 1) {
            let cells = line.trim_matches('|').split('|').map(str::trim);
            let cells: Vec<&str> = cells.collect();
            // Problems point to their code's row.
            let anchor = match cells.first().map(|cell| cell.trim_matches('`')) {
                Some(code) if place > 0 => format!(" id=\"error-{}\"", escape(code)),
                _ => String::new(),
            };
            let tag = if place == 0 { "th" } else { "td" };
            let cells: String = cells.iter().fold(String::new(), |mut row, cell| {
                let _ = write!(row, "<{tag}>{}</{tag}>", inline(cell));
                row
            });
            self.raw(&format!("<tr{anchor}>{cells}</tr>"));
        }
        self.raw("</table>");
    }
}

/// A schema in a few words, with a link where it has a name.
fn type_of(schema: &Value) -> String {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return format!("<a href=\"#schema-{0}\">{0}</a>", escape(name));
    }
    for join in ["oneOf", "anyOf", "allOf"] {
        if let Some(parts) = schema.get(join).and_then(Value::as_array) {
            let parts: Vec<String> = parts.iter().map(type_of).collect();
            return parts.join(" or ");
        }
    }
    if let Some(names) = schema.get("enum").and_then(Value::as_array) {
        let names: Vec<String> = names
            .iter()
            .filter_map(Value::as_str)
            .map(|name| format!("<code>{}</code>", escape(name)))
            .collect();
        return names.join(" ");
    }
    if let Some(items) = schema.get("items") {
        return format!("list of {}", type_of(items));
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    };
    let mut shown = escape(&kind);
    let bounds =
        ["format", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"];
    for bound in bounds {
        if let Some(value) = schema.get(bound) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = write!(shown, "<br><small>{bound} <code>{}</code></small>", escape(&value));
        }
    }
    shown
}

/// Escaped text with `code` and **bold**.
fn inline(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len() + 16);
    for (place, part) in markdown.split('`').enumerate() {
        if place % 2 == 1 {
            let _ = write!(out, "<code>{}</code>", escape(part));
            continue;
        }
        for (place, part) in part.split("**").enumerate() {
            let part = escape(part);
            let _ = if place % 2 == 1 { write!(out, "<b>{part}</b>") } else { write!(out, "{part}") };
        }
    }
    out
}

pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn members(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_operation_and_code_and_loads_nothing() {
        let page = render(&crate::openapi::document());
        for wanted in ["id=\"create_payment\"", "id=\"error-amount_not_positive\"", "id=\"schema-Payment\""] {
            assert!(page.contains(wanted), "{wanted}");
        }
        for foreign in ["<script", "src=", "@import", "url(", "http://", "https://"] {
            let found = page.match_indices(foreign).map(|(at, _)| page.get(at..at + 40)).collect::<Vec<_>>();
            // A pattern may speak of URLs; nothing may load one.
            assert!(found.is_empty() || foreign.starts_with("http"), "{foreign}: {found:?}");
        }
        assert!(!page.contains("href=\"http"));
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(inline("a <b> `x<y` **z&**"), "a &lt;b&gt; <code>x&lt;y</code> <b>z&amp;</b>");
        assert_eq!(escape("\"'"), "&quot;&#39;");
    }
}
