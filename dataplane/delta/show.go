package delta

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// show renders one side of a difference for people: of two structs only the
// members that differ, of one alone those that are set.
func show[K, V comparable](side, other map[K]V, k K) string {
	v, ok := side[k]
	if !ok {
		return ""
	}
	if any(v) == any(struct{}{}) {
		return "present"
	}
	rv := reflect.ValueOf(v)
	if _, speaks := any(v).(fmt.Stringer); speaks || rv.Kind() != reflect.Struct {
		return word(rv)
	}
	var beside *reflect.Value
	if o, both := other[k]; both {
		ov := reflect.ValueOf(o)
		beside = &ov
	}
	var parts []string
	for i := range rv.NumField() {
		f := rv.Field(i)
		if beside == nil && f.IsZero() || beside != nil && f.Equal(beside.Field(i)) {
			continue
		}
		parts = append(parts, spaced(rv.Type().Field(i).Name)+" "+word(f))
	}
	if len(parts) == 0 {
		return "present"
	}
	return strings.Join(parts, ", ")
}

// word is one value: by its own words if it has any, a struct by what is set in
// it, and what does not print in quotes.
func word(v reflect.Value) string {
	if v.CanInterface() {
		if s, ok := v.Interface().(fmt.Stringer); ok && !v.IsZero() {
			return s.String()
		}
	}
	if v.IsZero() && v.Kind() != reflect.Bool && !v.CanInt() && !v.CanUint() {
		return "none"
	}
	if v.Kind() == reflect.Struct {
		var parts []string
		for i := range v.NumField() {
			if f := v.Field(i); !f.IsZero() {
				parts = append(parts, word(f))
			}
		}
		return strings.Join(parts, " ")
	}
	text := fmt.Sprint(v)
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// spaced turns the name of a member into words: PeerMTU is "peer mtu".
func spaced(name string) string {
	var b strings.Builder
	small := false
	for _, r := range name {
		if small && unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		small = unicode.IsLower(r)
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
