use proptest::prelude::*;

use super::*;

fn assert_close(value: f64, expect: f64, relative: f64, what: &str) {
    assert!((value - expect).abs() <= relative * expect.abs(), "{what}: {value:e} instead of {expect:e}");
}

/// Reference values: scipy 1.17, `betabinom(n, a, b)` with a = mean (1/ρ − 1). The last but two is Skellam's own remark that
/// with a = b = 1 all counts are equally likely; the last two are beyond where the beta distribution takes over.
#[test]
fn beta_binomial_tails_match_the_reference() {
    for (trials, mean, correlation, x, expect, relative) in [
        (40, 0.821, 0.01, 12, 4.427_213_134e-9, 1e-6),
        (50, 0.85, 1.0 / 1_401.0, 30, 2.362_355_336e-5, 1e-6),
        (50, 0.85, 0.05, 45, 0.702_529_823_8, 1e-6),
        (20, 0.95, 0.02, 20, 1.0, 1e-9),
        (10, 0.5, 1.0 / 3.0, 3, 4.0 / 11.0, 1e-9),
        (5_000, 0.8, 0.002, 3_700, 1.263_825_338e-3, 0.03),
        (2_000, 0.9, 0.01, 1_650, 1.642_488_944e-2, 0.02),
    ] {
        let distribution = BetaBinomial { trials, mean, correlation };
        assert_close(distribution.to(x), expect, relative, &format!("{distribution:?} to {x}"));
    }
}

#[test]
fn beta_binomial_probabilities_match_the_reference() {
    for (trials, mean, correlation, x, expect) in [
        (40, 0.821, 0.01, 12, 3.538_313_167e-9),
        (50, 0.85, 0.05, 45, 0.090_992_056_99),
        (20, 0.95, 0.02, 20, 0.421_265_064_8),
        (10, 0.5, 1.0 / 3.0, 3, 1.0 / 11.0),
    ] {
        let distribution = BetaBinomial { trials, mean, correlation };
        assert_close(distribution.at(x), expect, 1e-6, &format!("{distribution:?} at {x}"));
    }
}

/// Reference values: scipy 1.17, `poisson` and `nbinom(mean / (φ−1), 1/φ)`.
#[test]
fn tails_of_counts_match_the_reference() {
    for (mean, dispersion, x, to, from, relative) in [
        (6.0, 1.0, 0, 2.478_752_177e-3, 1.0, 1e-6),
        (6.0, 1.26, 0, 4.827_882_048e-3, 1.0, 1e-6),
        (25.0, 2.5, 8, 5.208_842_633e-3, 0.997_313_152_2, 1e-6),
        (25.0, 2.5, 60, 0.999_781_439_0, 2.923_817_908e-4, 1e-6),
        (400.0, 9.0, 250, 2.423_925_816e-3, 0.997_740_032_9, 1e-6),
        (0.5, 3.0, 6, 0.992_737_513_3, 1.198_642_013e-2, 1e-6),
        (300.0, 1.3, 420, 0.999_999_993_3, 8.614_223_012e-9, 1e-5),
        (60_000.0, 1.3, 59_000, 1.652_485_029e-4, 0.999_837_022_4, 0.03),
        (60_000.0, 3.0, 61_500, 0.999_779_628_6, 2.223_082_660e-4, 0.03),
    ] {
        let distribution = NegativeBinomial { mean, dispersion };
        assert_close(distribution.to(x), to, relative, &format!("{distribution:?} to {x}"));
        assert_close(distribution.from(x), from, relative, &format!("{distribution:?} from {x}"));
    }
}

/// The logarithms of the probabilities, but for the binomial coefficients.
#[test]
fn likelihoods_match_the_probabilities() {
    let distribution = |trials| BetaBinomial { trials, mean: 0.85, correlation: 0.05 };
    let groups = [(50, 45), (20, 20), (40, 12)];
    let ln_at = |(trials, x)| distribution(trials).ln_at(x) - ln_binomial(trials, x);
    assert_close(distribution(1).ln_likelihood(groups.into_iter()), groups.into_iter().map(ln_at).sum(), 1e-9, "ln");
}

/// By hand: of a Poisson variable it is 1 ÷ mean; with r successes of probability ½ it is 6 ÷ r + ½ ÷ r.
#[test]
fn kurtosis_matches_the_distribution() {
    for (mean, dispersion, expect) in [(4.0, 1.0, 0.25), (3.0, 2.0, 6.5 / 3.0)] {
        assert_close(NegativeBinomial { mean, dispersion }.kurtosis(), expect, 1e-12, "kurtosis");
    }
}

/// Reference values: scipy 1.17, `norm.isf`.
#[test]
fn normal_scores_are_accurate_in_the_tails() {
    for (p, z) in [(0.01, 2.326_347_874), (1e-6, 4.753_424_309), (1e-12, 7.034_483_825), (1e-40, 13.310_921_37)] {
        assert_close(normal_score(p), z, 1e-6, &format!("{p}"));
        assert_close(normal_score(1.0 - p), -normal_score(p).min(8.2), 0.1, &format!("1 - {p}"));
    }
}

/// Reference values: scipy 1.17, `t.sf`.
#[test]
fn estimated_spread_makes_tails_heavier() {
    for (p, freedom, expect) in [(1e-6, 30.0, 2.335_120_057e-5), (0.001_000, 13.0, 4.303_8e-3), (0.7, 13.0, 0.7)] {
        assert_close(with_estimated_spread(p, freedom), expect, 1e-3, &format!("{p}, {freedom}"));
    }
}

/// Reference values: scipy 1.17, `norm.isf(pearson3.sf(z, skewness))`; the approximation's own error is the tolerance.
#[test]
fn skewness_only_corrects_the_heavier_tail() {
    for (z, skewness, expect) in
        [(4.0, 0.5, 3.211_6), (3.0, 1.0, 2.313_9), (-3.0, -1.0, -2.313_9), (-3.0, 1.0, -3.0), (3.0, 0.0, 3.0)]
    {
        assert_close(without_skewness(z, skewness), expect, 0.01, &format!("{z}, {skewness}"));
    }
}

proptest! {
    #[test]
    fn tails_of_rates_are_probabilities_and_rise(
        trials in 1_u64..3_000, mean in 0.001_f64..0.999, correlation in 1e-6_f64..0.5, part in 0.0_f64..1.0,
    ) {
        let distribution = BetaBinomial { trials, mean, correlation };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let x = (as_f64(trials - 1) * part) as u64;
        let (one, next) = (distribution.to(x), distribution.to(x + 1));
        prop_assert!((0.0..=1.0).contains(&one) && one <= next + 1e-9, "{one}, {next}");
        prop_assert!(distribution.middle(x) <= one);
    }

    #[test]
    fn tails_of_counts_add_up(mean in 0.001_f64..1e6, dispersion in 1.0_f64..50.0, part in 0.0_f64..3.0) {
        let distribution = NegativeBinomial { mean, dispersion };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let x = (mean * part) as u64;
        prop_assert!((distribution.to(x) + distribution.from(x + 1) - 1.0).abs() < 1e-6);
        let median = distribution.quantile(0.5);
        prop_assert!(distribution.to(median) >= 0.5 && (median == 0 || distribution.to(median - 1) < 0.5));
    }
}
