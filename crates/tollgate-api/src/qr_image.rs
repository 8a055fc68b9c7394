//! QR codes as pictures: an SVG for pages, a PNG for everything else.
//!
//! Source: ISO/IEC 18004. Error correction is of level M (15 %), the light margin four modules wide.

use crate::docs_page::escape;
use qrcode::types::Color;
use qrcode::{EcLevel, QrCode};
use std::fmt::Write as _;

/// The light margin that a reader needs, in modules.
const MARGIN: usize = 4;
/// Pixels of one module's edge: a code of a payment link is about 400 pixels wide.
const MODULE_PIXELS: usize = 8;

/// A code's modules, row by row; a margin is around them.
#[derive(Debug)]
pub(crate) struct QrImage {
    width: usize,
    dark: Vec<bool>,
}

impl QrImage {
    /// The code of a text; none if the text does not fit any code.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        let width = code.width();
        Some(Self { width, dark: code.into_colors().into_iter().map(|color| color == Color::Dark).collect() })
    }

    /// An SVG picture. `title` is what a screen reader says.
    pub(crate) fn svg(&self, title: &str) -> String {
        let size = self.width + 2 * MARGIN;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" width=\"{pixels}\" \
             height=\"{pixels}\" role=\"img\" aria-labelledby=\"qr-title\" shape-rendering=\"crispEdges\">\
             <title id=\"qr-title\">{}</title><path fill=\"#fff\" d=\"M0 0h{size}v{size}H0z\"/>\
             <path fill=\"#000\" d=\"",
            escape(title),
            pixels = size * MODULE_PIXELS,
        );
        for (y, row) in self.dark.chunks(self.width).enumerate() {
            let mut x = 0;
            // One stroke for each run of dark modules.
            for run in row.chunk_by(|left, right| left == right) {
                if run.first() == Some(&true) {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "M{} {}h{}v1h-{}z", x + MARGIN, y + MARGIN, run.len(), run.len());
                }
                x += run.len();
            }
        }
        text.push_str("\"/></svg>");
        text
    }

    /// A PNG picture in black and white, one bit a pixel; none if it cannot be written.
    pub(crate) fn png(&self) -> Option<Vec<u8>> {
        let size = (self.width + 2 * MARGIN) * MODULE_PIXELS;
        let mut pixels = Vec::with_capacity(size * size.div_ceil(8));
        for y in 0..size / MODULE_PIXELS {
            // A module is eight pixels wide: one byte.
            let row: Vec<u8> =
                (0..size / MODULE_PIXELS).map(|x| if self.is_dark(x, y) { 0x00 } else { 0xFF }).collect();
            for _ in 0..MODULE_PIXELS {
                pixels.extend_from_slice(&row);
            }
        }
        let mut bytes = Vec::new();
        let edge = u32::try_from(size).ok()?;
        let mut encoder = png::Encoder::new(&mut bytes, edge, edge);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        encoder.write_header().ok()?.write_image_data(&pixels).ok()?;
        Some(bytes)
    }

    fn is_dark(&self, x: usize, y: usize) -> bool {
        let inside = |place: usize| place.checked_sub(MARGIN).filter(|place| *place < self.width);
        let place = inside(x).zip(inside(y)).map(|(x, y)| y * self.width + x);
        place.and_then(|place| self.dark.get(place)).copied().unwrap_or(false)
    }
}

// One module is one byte of a one-bit picture.
const _: () = assert!(MODULE_PIXELS == 8);

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "upi://pay?pa=shop@okbank&pn=Corner%20Shop&tr=0351N52ALpPahp5SiN1Eka&am=125.50&cu=INR";

    /// Reads a picture with a decoder that shares nothing with the encoder.
    fn decoded(size: usize, is_dark: impl Fn(usize, usize) -> bool) -> String {
        let mut image =
            rqrr::PreparedImage::prepare_from_greyscale(
                size,
                size,
                |x, y| {
                    if is_dark(x, y) { 0 } else { 255 }
                },
            );
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1);
        let (meta, text) = grids[0].decode().unwrap();
        // The format bits of level M are 00.
        assert_eq!(meta.ecc_level, 0);
        text
    }

    #[test]
    fn the_png_reads_back() {
        for text in [LINK, "a", &"upi".repeat(500), "Grüße, 最佳运输"] {
            let bytes = QrImage::of(text).unwrap().png().unwrap();
            let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut pixels).unwrap();
            assert_eq!((info.width, info.bit_depth), (info.height, png::BitDepth::One));
            let size = usize::try_from(info.width).unwrap();
            let dark = |x: usize, y: usize| pixels[y * info.line_size + x / 8] & (0x80 >> (x % 8)) == 0;
            assert_eq!(decoded(size, dark), text);
            assert!((0..MARGIN * 8).all(|near| (0..size).all(|far| !dark(near, far) && !dark(far, near))));
        }
    }

    /// Draws the picture from its path alone.
    #[test]
    fn the_svg_reads_back() {
        let svg = QrImage::of(LINK).unwrap().svg("Pay <Corner & Shop>");
        assert!(svg.contains("<title id=\"qr-title\">Pay &lt;Corner &amp; Shop&gt;</title>"), "{svg}");
        let (_, path) = svg.rsplit_once(" d=\"").unwrap();
        let edge: usize =
            svg.split_once("viewBox=\"0 0 ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
        let mut dark = std::collections::HashSet::new();
        for stroke in path.trim_end_matches("\"/></svg>").split('M').skip(1) {
            let (corner, rest) = stroke.split_once('h').unwrap();
            let (x, y) = corner.split_once(' ').unwrap();
            let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
            let length: usize = rest.split('v').next().unwrap().parse().unwrap();
            dark.extend((x..x + length).map(|x| (x, y)));
        }
        assert_eq!(decoded(edge * 4, |x, y| dark.contains(&(x / 4, y / 4))), LINK);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(QrImage::of(&"x".repeat(3_000)).is_none());
    }
}
