//! How wide a text is, without a font: enough to reserve room and to choose a size.

use topology::text::Text;

/// Width of `text` at `size` pixels in a semi-bold sans serif, rounded up. Widths are those of Inter,
/// a little generous so that a similar system font fits too.
pub fn text_width(text: &str, size: i32) -> i32 {
    let thousandths: i32 = text.chars().map(advance).sum();
    (thousandths * size + 999) / 1000
}

/// The wider of the two languages.
pub(crate) fn widest(text: &Text, size: i32) -> i32 {
    text_width(&text.en, size).max(text_width(&text.zh, size))
}

const fn advance(c: char) -> i32 {
    match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | '·' => 290,
        ' ' | '\u{2009}' => 260,
        'f' | 'r' | 't' | '(' | ')' | '[' | ']' | '/' | '-' => 400,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 890,
        '0'..='9' => 640,
        'A'..='Z' => 690,
        c if (c as u32) >= 0x1100 => 1000,
        _ => 590,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_characters_are_square() {
        assert_eq!(text_width("会员数据库", 20), 100);
        assert!(text_width("Member database", 20) > text_width("Member DB", 20));
        assert_eq!(widest(&Text::new("a", "会员"), 10), 20);
    }
}
