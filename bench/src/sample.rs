use std::time::Duration;

/// Measured values, at least one, in rising order.
#[derive(Debug, Clone)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    /// `None` of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Self(values))
    }

    /// Times, in milliseconds.
    pub(crate) fn of_times(times: impl IntoIterator<Item = Duration>) -> Option<Self> {
        Self::of(times.into_iter().map(|time| time.as_secs_f64() * 1_000.0))
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len().is_multiple_of(2) { f64::midpoint(self.0[middle - 1], self.0[middle]) } else { self.0[middle] }
    }

    /// The smallest value that 99 % of all do not exceed.
    pub(crate) fn p99(&self) -> f64 {
        self.0[(self.0.len() * 99).div_ceil(100) - 1]
    }

    pub(crate) fn least(&self) -> f64 {
        self.0[0]
    }

    pub(crate) fn most(&self) -> f64 {
        self.0[self.0.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let to = |most: u32| Sample::of((1..=most).rev().map(f64::from)).expect("values");
        for (most, median, p99) in [(1, 1.0, 1.0), (2, 1.5, 2.0), (5, 3.0, 5.0), (100, 50.5, 99.0), (500, 250.5, 495.0)]
        {
            let sample = to(most);
            let read = [sample.median(), sample.p99(), sample.least(), sample.most()];
            let expect = [median, p99, 1.0, f64::from(most)];
            let close = read.iter().zip(expect).all(|(read, expect)| (read - expect).abs() < 1e-9);
            assert!(close, "1 to {most}: {read:?}, expected {expect:?}");
        }
        assert!(Sample::of([]).is_none());
    }
}
