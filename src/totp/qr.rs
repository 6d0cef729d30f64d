//! Drawing a QR code.

use core::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};
use zeroize::Zeroizing;

use super::TotpError;

/// The light border that a reader needs, in modules (ISO/IEC 18004).
const QUIET_ZONE: i32 = 4;

/// Encodes a text. Medium error correction: a screen is no dirty label.
pub(super) fn matrix(text: &str) -> Result<QrCode, TotpError> {
    QrCode::encode_text(text, QrCodeEcc::Medium).map_err(|_| TotpError::TooLong)
}

/// One path of horizontal runs on a white ground.
pub(super) fn svg(code: &QrCode) -> Zeroizing<String> {
    let size = code.size();
    let total = size + 2 * QUIET_ZONE;
    let mut out = buffer(total);
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {total} {total}\" \
         shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h{total}v{total}H0z\"/>\
         <path fill=\"#000\" d=\""
    );
    for y in 0..size {
        let mut x = 0;
        while x < size {
            let start = x;
            while code.get_module(x, y) {
                x += 1;
            }
            let run = x - start;
            if run > 0 {
                let _ = write!(out, "M{} {}h{run}v1h-{run}z", start + QUIET_ZONE, y + QUIET_ZONE);
            }
            x += 1;
        }
    }
    out.push_str("\"/></svg>");
    out
}

/// Two rows of modules to a line. What is printed shines on a dark ground, so light modules are printed and
/// dark ones left blank.
pub(super) fn terminal(code: &QrCode) -> Zeroizing<String> {
    let edges = -QUIET_ZONE..code.size() + QUIET_ZONE;
    let mut out = buffer(code.size() + 2 * QUIET_ZONE);
    // Outside the code every module is light; below the border nothing is printed.
    let light = |x: i32, y: i32| y < edges.end && !code.get_module(x, y);
    for y in edges.clone().step_by(2) {
        for x in edges.clone() {
            out.push(match (light(x, y), light(x, y + 1)) {
                (true, true) => '\u{2588}',
                (true, false) => '\u{2580}',
                (false, true) => '\u{2584}',
                (false, false) => ' ',
            });
        }
        out.push('\n');
    }
    out
}

/// Room for either drawing, so that growing leaves no copy behind: a run of the path takes 20 bytes at most
/// and two modules at least.
fn buffer(total: i32) -> Zeroizing<String> {
    let side = usize::try_from(total).unwrap_or(0);
    Zeroizing::new(String::with_capacity(side * side * 10 + 512))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "otpauth://totp/Acme:ann%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme\
                       &algorithm=SHA1&digits=6&period=30";

    /// A row of a finder pattern with its separator, dark as `#`.
    const FINDER: [&str; 8] =
        ["#######.", "#.....#.", "#.###.#.", "#.###.#.", "#.###.#.", "#.....#.", "#######.", "........"];

    /// Reads the dark modules back out of the path, the quiet zone included.
    fn drawn(svg: &str, total: usize) -> Vec<Vec<bool>> {
        let path = svg.split("<path fill=\"#000\" d=\"").nth(1).unwrap().strip_suffix("\"/></svg>").unwrap();
        let mut grid = vec![vec![false; total]; total];
        for run in path.split('M').skip(1) {
            let (place, rest) = run.split_once('h').unwrap();
            let (x, y) = place.split_once(' ').unwrap();
            let (length, back) = rest.split_once("v1h-").unwrap();
            assert_eq!(format!("{length}z"), back);
            let (x, y, length): (usize, usize, usize) =
                (x.parse().unwrap(), y.parse().unwrap(), length.parse().unwrap());
            grid[y][x..x + length].fill(true);
        }
        grid
    }

    /// Reads the dark modules back out of the half blocks.
    fn printed(text: &str, total: usize) -> Vec<Vec<bool>> {
        let mut grid = Vec::new();
        for line in text.lines() {
            let (mut top, mut bottom) = (Vec::new(), Vec::new());
            for c in line.chars() {
                top.push(matches!(c, ' ' | '\u{2584}'));
                bottom.push(matches!(c, ' ' | '\u{2580}'));
            }
            grid.push(top);
            grid.push(bottom);
        }
        assert_eq!(grid.len(), total + 1, "an odd number of rows leaves half a line");
        grid.truncate(total);
        grid
    }

    fn side(code: &QrCode) -> usize {
        usize::try_from(code.size()).unwrap()
    }

    fn check(grid: &[Vec<bool>], code: &QrCode) {
        let size = side(code);
        let total = size + 8;
        assert_eq!(size, usize::from(code.version().value()) * 4 + 17);
        assert!(grid.iter().all(|row| row.len() == total));
        let mut dark = 0;
        for (y, row) in grid.iter().enumerate() {
            for (x, module) in row.iter().enumerate() {
                let expected = code.get_module(i32::try_from(x).unwrap() - 4, i32::try_from(y).unwrap() - 4);
                assert_eq!(*module, expected, "{x} {y}");
                dark += usize::from(*module);
            }
        }
        assert!(dark * 3 > size * size && dark * 3 < size * size * 2, "about half the modules are dark");
        for (y, line) in FINDER.iter().enumerate() {
            for (x, module) in line.chars().map(|c| c == '#').enumerate() {
                assert_eq!(grid[4 + y][4 + x], module, "top left");
                assert_eq!(grid[4 + y][total - 5 - x], module, "top right");
                assert_eq!(grid[total - 5 - y][4 + x], module, "bottom left");
            }
        }
        let zone = |i: usize| i < 4 || i >= total - 4;
        for (y, row) in grid.iter().enumerate() {
            assert!(row.iter().enumerate().all(|(x, dark)| !(*dark && (zone(x) || zone(y)))), "quiet zone");
        }
    }

    #[test]
    fn the_svg_draws_every_module_inside_a_quiet_zone() {
        let code = matrix(URL).unwrap();
        let text = svg(&code);
        let total = side(&code) + 8;
        assert!(text.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
        assert!(text.contains(&format!("viewBox=\"0 0 {total} {total}\"")));
        assert!(text.contains("shape-rendering=\"crispEdges\""));
        check(&drawn(&text, total), &code);
    }

    #[test]
    fn the_terminal_prints_light_modules_inside_a_quiet_zone() {
        let code = matrix(URL).unwrap();
        check(&printed(&terminal(&code), side(&code) + 8), &code);
    }

    #[test]
    fn no_drawing_outgrows_its_buffer() {
        for text in ["a", URL, &"otpauth".repeat(330)] {
            let code = matrix(text).unwrap();
            let room = buffer(code.size() + 8).capacity();
            assert!(svg(&code).len() <= room && terminal(&code).len() <= room);
            assert_eq!(svg(&code).capacity(), room);
        }
    }
}
