use crate::render::text::*;

#[test]
fn what_deceives_is_escaped() {
    assert_eq!(
        escape("a\u{1b}[1m\nb\u{202e}c"),
        "a\\u{1b}[1m\\u{a}b\\u{202e}c"
    );
    assert_eq!(escape("prod\u{200b}"), "prod\\u{200b}");
    assert_eq!(escape("prod\u{a0}"), "prod\\u{a0}");
    assert_eq!(escape("Zürich 東京 → ok"), "Zürich 東京 → ok");
}

#[test]
fn a_number_keeps_its_unit() {
    assert_eq!(wrap("storage (12.6 %)", 14), ["storage", "(12.6 %)"]);
    assert_eq!(wrap("over by 40.00 USD", 14), ["over by", "40.00 USD"]);
    assert_eq!(wrap("abcdefgh % abc", 8), ["abcdefgh", "% abc"]);
}

#[test]
fn values_are_quoted_and_cut() {
    assert_eq!(quote("prod", 60), "\"prod\"");
    assert_eq!(quote("a\"b\\", 60), "\"a\\\"b\\\\\"");
    assert_eq!(quote(&"x".repeat(60), 60).chars().count(), 62);
    assert_eq!(
        quote(&"x".repeat(61), 60),
        format!("\"{}\"…", "x".repeat(59))
    );
    assert_eq!(width(&quote(&"\u{1b}".repeat(100), 60)), 57);
    assert!(
        quote(&format!("a{}", "\u{301}".repeat(500)), 60)
            .chars()
            .count()
            < 70
    );
}

#[test]
fn texts_are_cut_at_either_end() {
    assert_eq!(cut("abcdef", 6), "abcdef");
    assert_eq!(cut("abcdef", 4), "abc…");
    assert_eq!(cut_left("abcdef", 4), "…def");
    assert_eq!(cut_left("ab  cdef", 7), "…cdef");
    assert_eq!(cut("東京東京", 5), "東京…");
}

#[test]
fn lines_break_at_spaces_and_long_words_at_their_joints() {
    assert_eq!(wrap("one two three", 8), ["one two", "three"]);
    assert_eq!(
        wrap("see arn:aws:sts::210987654321:assumed-role/ci", 20),
        ["see", "arn:aws:sts::", "210987654321:", "assumed-role/ci"]
    );
    assert_eq!(wrap("", 20), Vec::<String>::new());
    for text in ["東京東京東京東京東京", "a b c", &"x".repeat(100)] {
        assert!(wrap(text, 9).iter().all(|l| width(l) <= 9));
    }
}

#[test]
fn numbers_are_grouped() {
    assert_eq!(number(0), "0");
    assert_eq!(number(999), "999");
    assert_eq!(number(1_234_567), "1,234,567");
    assert_eq!(plural(1, "rule", "rules"), "1 rule");
    assert_eq!(plural(0, "rule", "rules"), "0 rules");
    assert_eq!(list(&["a", "b", "c"], 2), "a, b … and 1 more");
    assert_eq!(duration(1_250), "1.2 s");
    assert_eq!(duration(185_000), "3 min 05 s");
}

#[test]
fn money_has_its_sign() {
    let show = |text: &str| decimal(text).and_then(signed_usd);
    assert_eq!(show("-34.2").as_deref(), Some("-34.20"));
    assert_eq!(show("1234.567").as_deref(), Some("+1,234.57"));
    assert_eq!(show("0.001"), None);
    assert_eq!(show("n/a"), None);
}
