package service

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// maxFilterValues is EC2's bound for all values of all filters of one call.
const maxFilterValues = 200

// matchFilters compiles the filters of a Describe call. All filters must hold
// (AND), and a filter holds if one of its values matches one of what fields
// gives for its name (OR). Values may contain the wildcards * and ?, which a
// backslash takes literally; case matters. tag:KEY and tag-key ask tags, which
// may be nil for shapes without any. An unknown name is InvalidParameterValue.
func matchFilters[T any](filters []api.Filter, fields map[string]func(T) []string, tags func(T) []api.Tag) (func(T) bool, error) {
	var tests []func(T) bool
	count := 0
	for i, f := range filters {
		at := "Filters." + strconv.Itoa(i)
		field, err := filterField(f.Name, at, fields, tags)
		if err != nil {
			return nil, err
		}
		if len(f.Values) == 0 {
			return nil, api.Errorf("InvalidParameterValue", at+".Values", "the filter %s has no value; give at least one", quote(f.Name))
		}
		if count += len(f.Values); count > maxFilterValues {
			return nil, api.Errorf("FilterLimitExceeded", at+".Values", "the filters have more than %d values; split the call", maxFilterValues)
		}
		tests = append(tests, func(v T) bool {
			return slices.ContainsFunc(field(v), func(have string) bool {
				return slices.ContainsFunc(f.Values, func(want string) bool { return glob(want, have) })
			})
		})
	}
	return func(v T) bool {
		for _, test := range tests {
			if !test(v) {
				return false
			}
		}
		return true
	}, nil
}

// filterField is what a filter of this name compares: the shape's own fields
// come before tags, and a shape without tags has no tag filters.
func filterField[T any](name, at string, fields map[string]func(T) []string, tags func(T) []api.Tag) (func(T) []string, error) {
	if field, ok := fields[name]; ok {
		return field, nil
	}
	key, isTag := strings.CutPrefix(name, "tag:")
	switch {
	case tags == nil:
	case name == "tag-key":
		return func(v T) []string {
			var keys []string
			for _, t := range tags(v) {
				keys = append(keys, t.Key)
			}
			return keys
		}, nil
	case isTag:
		return func(v T) []string {
			for _, t := range tags(v) {
				if t.Key == key {
					return []string{t.Value}
				}
			}
			return nil
		}, nil
	}
	known := slices.Sorted(maps.Keys(fields))
	if tags != nil {
		known = append(known, "tag:KEY", "tag-key")
	}
	return nil, api.Errorf("InvalidParameterValue", at+".Name", "the filter %s is invalid; there are %s", quote(name), strings.Join(known, ", "))
}

// glob says whether s matches pattern. It costs at most the product of their
// lengths, whatever the pattern: after a mismatch only the last * is retried.
func glob(pattern, s string) bool {
	p, t := compileGlob(pattern), []rune(s)
	star, mark := -1, 0
	pi, ti := 0, 0
	for ti < len(t) {
		switch {
		case pi < len(p) && p[pi].any:
			star, mark = pi, ti
			pi++
		case pi < len(p) && (p[pi].one || p[pi].r == t[ti]):
			pi++
			ti++
		case star >= 0:
			mark++
			pi, ti = star+1, mark
		default:
			return false
		}
	}
	for pi < len(p) && p[pi].any {
		pi++
	}
	return pi == len(p)
}

// globToken is one character of a pattern: any string, any one character, or r.
type globToken struct {
	any, one bool
	r        rune
}

// compileGlob works on characters: ? stands for one of them, not for a byte. A
// backslash at the end is itself.
func compileGlob(pattern string) []globToken {
	var out []globToken
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			out, escaped = append(out, globToken{r: r}), false
		case r == '\\':
			escaped = true
		case r == '*':
			out = append(out, globToken{any: true})
		case r == '?':
			out = append(out, globToken{one: true})
		default:
			out = append(out, globToken{r: r})
		}
	}
	if escaped {
		out = append(out, globToken{r: '\\'})
	}
	return out
}

// boolText is how filters spell a flag.
func boolText(p *bool) []string { return []string{strconv.FormatBool(api.Val(p))} }
