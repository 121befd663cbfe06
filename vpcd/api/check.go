package api

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Check tests a request, a pointer to a struct, against what its model says:
// required members (MissingParameter), enum values and the bounds of numbers
// (InvalidParameterValue). What needs knowledge of objects or of addresses is
// the action's own business.
func Check(req any) error {
	if e := checkStruct(reflect.ValueOf(req).Elem(), ""); e != nil {
		return e
	}
	return nil
}

func checkStruct(v reflect.Value, path string) *Error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if e := checkField(v.Field(i), f.Tag.Get("ec2"), path+f.Name); e != nil {
			return e
		}
	}
	return nil
}

func checkField(v reflect.Value, tag, path string) *Error {
	if v.IsZero() {
		if slices.Contains(strings.Split(tag, ","), "required") {
			return Errorf("MissingParameter", path, "the request must contain the parameter %s", path)
		}
		return nil
	}
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			at := path + "." + strconv.Itoa(i)
			if e := checkValue(v.Index(i), tag, at); e != nil {
				return e
			}
		}
		return nil
	case reflect.Pointer:
		return checkValue(v.Elem(), tag, path)
	}
	return checkValue(v, tag, path)
}

func checkValue(v reflect.Value, tag, path string) *Error {
	switch v.Kind() {
	case reflect.Struct:
		if v.NumField() > 0 && v.Type().Field(0).Tag.Get("ec2") != "" {
			return checkStruct(v, path+".")
		}
	case reflect.String:
		if enum := tagValue(tag, "enum"); enum != "" && !slices.Contains(Enums[enum], v.String()) {
			return Errorf("InvalidParameterValue", path, "value (%s) for parameter %s is invalid: it must be %s",
				Printable(v.String()), path, choice(Enums[enum]))
		}
	case reflect.Int32, reflect.Int64:
		low, high := tagValue(tag, "min"), tagValue(tag, "max")
		if low != "" && v.Int() < mustInt(low) || high != "" && v.Int() > mustInt(high) {
			return Errorf("InvalidParameterValue", path, "value (%d) for parameter %s is invalid: it must be between %s and %s",
				v.Int(), path, low, high)
		}
	}
	return nil
}

// choice names the values of an enum, or some where there are too many to read.
func choice(values []string) string {
	const most = 16
	if len(values) > most {
		return fmt.Sprintf("one of %d values, such as %s", len(values), strings.Join(values[:3], ", "))
	}
	return "one of " + strings.Join(values, ", ")
}

// tagValue returns what follows key= in an ec2 tag.
func tagValue(tag, key string) string {
	for opt := range strings.SplitSeq(tag, ",") {
		if v, ok := strings.CutPrefix(opt, key+"="); ok {
			return v
		}
	}
	return ""
}

// mustInt reads a bound the generator wrote.
func mustInt(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("api: bound %q in a generated tag: %v", s, err))
	}
	return n
}

// FillLists makes the lists that a result always prints empty instead of nil,
// so that an empty describe reads {"Vpcs":[]} and not {"Vpcs":null}. It takes
// a pointer to a result and returns it.
func FillLists[T any](result T) T {
	v := reflect.ValueOf(result).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() != reflect.Slice || !f.IsNil() {
			continue
		}
		if !strings.Contains(v.Type().Field(i).Tag.Get("json"), ",omitempty") {
			f.Set(reflect.MakeSlice(f.Type(), 0, 0))
		}
	}
	return result
}
