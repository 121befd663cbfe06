package main

import (
	"math"
	"slices"
)

// median of values; NaN without any.
func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile q between 0 and 1, interpolated between the two nearest values; NaN
// without any.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	at := q * float64(len(s)-1)
	low := int(at)
	high := min(low+1, len(s)-1)
	return s[low] + (s[high]-s[low])*(at-float64(low))
}

// spread is the interquartile range as a part of the median: 0.04 is 4 %.
func spread(values []float64) float64 {
	return (quantile(values, 0.75) - quantile(values, 0.25)) / median(values)
}

// ratio of two medians; NaN where one is missing.
func ratio(a, b []float64) float64 { return median(a) / median(b) }
