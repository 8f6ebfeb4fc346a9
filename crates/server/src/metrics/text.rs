//! Turns OpenMetrics text into the older format of Prometheus, which every scraper reads and Qdrant writes.
//!
//! The two differ, for what is used here, in three things: the older one names a counter's family with its `_total`, and knows
//! neither units nor the mark of the end.

/// The same metrics, in text format 0.0.4.
pub(super) fn classic(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            // What the name is in the other format is known only with the type, which follows.
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take() {
                text.push_str(&format!("# HELP {name}{suffix} {help}\n"));
            }
            text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_their_suffix_in_every_line() {
        let openmetrics = "# HELP a Of a.\n# TYPE a counter\n# UNIT a s\na_total{x=\"# TYPE b counter\"} 1\n\
                           # HELP b_total Of b.\n# TYPE b_total gauge\nb_total 2\n\
                           # HELP c Of c.\n# TYPE c histogram\nc_sum 1.0\nc_bucket{le=\"+Inf\"} 1\n# EOF\n";
        let expected = "# HELP a_total Of a.\n# TYPE a_total counter\na_total{x=\"# TYPE b counter\"} 1\n\
                        # HELP b_total Of b.\n# TYPE b_total gauge\nb_total 2\n\
                        # HELP c Of c.\n# TYPE c histogram\nc_sum 1.0\nc_bucket{le=\"+Inf\"} 1\n";
        assert_eq!(classic(openmetrics), expected);
    }
}
