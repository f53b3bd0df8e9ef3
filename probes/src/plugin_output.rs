//! What a Nagios plug-in prints: text, and perfdata behind a bar. Pure.

/// The text of the first line, and the performance data of all.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Output {
    pub(crate) text: String,
    pub(crate) perfdata: Vec<(String, f64)>,
}

/// Labels that are kept.
const MAX_LABELS: usize = 64;

/// Reads a plug-in's standard output. Values are in base units: seconds, bytes, ratios; what is no
/// perfdata is left out.
pub(crate) fn read(output: &str) -> Output {
    let mut lines = output.lines();
    let first = lines.next().unwrap_or_default();
    let (text, first_data) = first.split_once('|').unwrap_or((first, ""));
    let mut perfdata = Vec::new();
    read_perfdata(first_data, &mut perfdata);
    // Later lines are long text until a bar; from there on all is perfdata.
    let mut data = false;
    for line in lines {
        match line.split_once('|') {
            _ if data => read_perfdata(line, &mut perfdata),
            Some((_, rest)) => {
                data = true;
                read_perfdata(rest, &mut perfdata);
            }
            None => {}
        }
    }
    Output { text: text.trim().to_owned(), perfdata }
}

/// `'label'=value[UOM];[warn];[crit];[min];[max]`, with spaces between; a quote in a label stands twice.
fn read_perfdata(text: &str, into: &mut Vec<(String, f64)>) {
    let mut rest = text.trim_start();
    while !rest.is_empty() && into.len() < MAX_LABELS {
        let Some((label, after)) = label(rest) else { return };
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        let (value, next) = after.split_at(end);
        let value = value.split(';').next().unwrap_or_default();
        if let Some(value) = in_base_unit(value)
            && !into.iter().any(|(known, _)| *known == label)
        {
            into.push((label, value));
        }
        rest = next.trim_start();
    }
}

fn label(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let (label, after) = text.split_once('=')?;
        return (!label.is_empty() && !label.contains(char::is_whitespace))
            .then(|| (label.to_owned(), after));
    };
    let mut label = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '\'' {
            label.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == '\'') {
            chars.next();
            label.push('\'');
        } else {
            let after = quoted.get(at + 1..)?.strip_prefix('=')?;
            return (!label.is_empty()).then_some((label, after));
        }
    }
    None
}

/// A value with its unit of measurement; `U` means that it could not be found out.
fn in_base_unit(text: &str) -> Option<f64> {
    let digits = text.find(|c: char| !matches!(c, '0'..='9' | '.' | ',' | '-' | '+')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let value: f64 = number.replace(',', ".").parse().ok()?;
    let factor = match unit {
        "" | "c" | "s" | "B" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        "ns" => 1e-9,
        "%" => 0.01,
        // The plug-ins mean binary ones, whatever they write.
        "KB" | "kB" | "KiB" => 1024.0,
        "MB" | "MiB" => 1_048_576.0,
        "GB" | "GiB" => 1_073_741_824.0,
        "TB" | "TiB" => 1_099_511_627_776.0,
        _ => return None,
    };
    Some(value * factor).filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_and_perfdata_are_told_apart() {
        let output = read(
            "DISK OK - free space: / 3326 MiB (56%); | /=2643MiB;5948;5958;0;5968 'it''s'=3ms;;;0\n\
             /boot 68 MiB (69%);\n/home 69357 MiB | /boot=68MB;88;93;0;98\n/home=69357MB;253404\nload=50%",
        );
        assert_eq!(output.text, "DISK OK - free space: / 3326 MiB (56%);");
        let mib = 1_048_576.0;
        assert_eq!(
            output.perfdata,
            [
                ("/".to_owned(), 2643.0 * mib),
                ("it's".to_owned(), 0.003),
                ("/boot".to_owned(), 68.0 * mib),
                ("/home".to_owned(), 69357.0 * mib),
                ("load".to_owned(), 0.5),
            ]
        );
    }

    #[test]
    fn what_is_no_perfdata_is_left_out() {
        assert_eq!(read("OK | a=U b=3q c d='e' =5 x=1").perfdata, []);
        assert_eq!(read("OK | x=1 a=U").perfdata, [("x".to_owned(), 1.0)]);
        assert_eq!(read("").text, "");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(.|\n)*") {
            read(&text);
        }

        #[test]
        fn a_label_comes_back(label in "[a-z/' ]{1,12}", value in -1e6_f64..1e6) {
            let line = format!("OK | '{}'={value:.3}", label.replace('\'', "''"));
            let read = read(&line);
            prop_assert_eq!(&read.perfdata[0].0, &label);
        }
    }
}
