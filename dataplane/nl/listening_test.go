package nl

import "testing"

func TestLongestRun(t *testing.T) {
	for name, c := range map[string]struct {
		taken       []int
		first, last int
	}{
		"nothing":        {nil, 10, 20},
		"below":          {[]int{12}, 13, 20},
		"above":          {[]int{18}, 10, 17},
		"both ends":      {[]int{10, 20}, 11, 19},
		"first of equal": {[]int{15}, 10, 14},
		"between":        {[]int{12, 19}, 13, 18},
		"elsewhere":      {[]int{9, 21}, 10, 20},
		"all":            {[]int{10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}, 10, 9},
	} {
		taken := map[int]bool{}
		for _, p := range c.taken {
			taken[p] = true
		}
		if first, last := longestRun(10, 20, taken); first != c.first || last != c.last {
			t.Errorf("%s: %d to %d, want %d to %d", name, first, last, c.first, c.last)
		}
	}
}
