use super::*;

/// Lucas and Saccucci, "Exponentially weighted moving average control schemes: properties and enhancements",
/// Technometrics 32 (1990), table 3: the schemes whose in-control run length is 500. Below them the same lengths to
/// five digits by another way, Brook and Evans' Markov chain of 201 and 403 states, extrapolated (numpy).
#[test]
fn run_lengths_match_published_values() {
    for (weight, limit, expect, relative) in [
        (0.1, 2.814, 500.0, 2e-3),
        (0.2, 2.962, 500.0, 2e-3),
        (0.4, 3.054, 500.0, 2e-3),
        (0.2, 2.5, 141.097_6, 1e-4),
        (0.2, 2.859, 370.041_8, 1e-4),
        (0.2, 3.0, 559.874_0, 1e-4),
        (0.2, 3.5, 2_880.423_6, 1e-4),
        (0.2, 5.0, 1_920_772.0, 1e-4),
    ] {
        let length = run_length(limit, weight);
        assert!((length - expect).abs() < relative * expect, "λ {weight}, L {limit}: {length} instead of {expect}");
    }
}

#[test]
fn limits_are_solved_for_alpha() {
    for (weight, alpha, expect) in
        [(0.1, 0.002, 2.814), (0.2, 0.002, 2.962), (0.4, 0.002, 3.054), (0.2, 1.0 / 370.0, 2.859)]
    {
        let limit = limit(alpha, weight);
        assert!((limit - expect).abs() < 1e-3, "λ {weight}, α {alpha}: {limit} instead of {expect}");
    }
    // The p-value is the α whose limit is just reached.
    for alpha in [0.01, 1e-4, 1e-6, 1e-9] {
        let again = p_value(limit(alpha, WEIGHT));
        assert!((again / alpha - 1.0).abs() < 1e-3, "{alpha} came back as {again}");
    }
    assert!(is_far(2.2) && !is_far(1.9) && !is_far(-1.9), "L(0.02) is {}", *LIMIT_OF_ONE_SIDE);
}

#[test]
fn newest_residual_has_the_largest_weight() {
    let (average, variance) = average([1.0, 0.0].into_iter());
    assert!((average - 0.2 / 0.36).abs() < 1e-12, "{average}");
    assert!((variance - (0.04 + 0.0256) / (0.36 * 0.36)).abs() < 1e-12, "{variance}");
    // λ ÷ (2 − λ), when there is much to average.
    let (average, variance) = super::average(std::iter::repeat_n(3.0, 100));
    assert!((average - 3.0).abs() < 1e-12 && (variance - 1.0 / 9.0).abs() < 1e-3, "{average}, {variance}");
}
