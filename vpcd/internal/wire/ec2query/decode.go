package ec2query

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vpcfabric/vpc/vpcd/api"
)

const (
	// ParameterMax bounds the parameters of one request.
	ParameterMax = 10_000
	// depthMax bounds the parts of a name; the longest of the model has about
	// half as many.
	depthMax = 16
	// indexMax bounds the N of Name.N. Indices may have gaps, so it is not a
	// number of elements: those each need a parameter.
	indexMax = 1_000_000
)

// envelope is what a form says beside the action's own parameters: which action
// it is, and the signature where that is not in a header.
var envelope = []string{
	"Action", "Version",
	"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature", "X-Amz-SignedHeaders",
	"AWSAccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "Timestamp",
}

// Decode reads a form into request, a pointer to a struct that is empty. A
// structure of which the form names nothing stays nil. Errors are *api.Error
// with the parameter as Field: UnknownParameter, InvalidParameterValue,
// InvalidParameterCombination (given twice), MalformedQueryString (beyond the bounds).
func Decode(form url.Values, request any) error {
	if len(form) > ParameterMax {
		return api.Errorf("MalformedQueryString", "", "the request has more than %d parameters", ParameterMax)
	}
	root := &node{}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if slices.Contains(envelope, name) {
			continue
		}
		if err := root.add(name, form[name]); err != nil {
			return err
		}
	}
	return root.structure(reflect.ValueOf(request).Elem())
}

// node is a parameter or what several have in front of a dot.
type node struct {
	name  string // in full, as the form spells it
	value *string
	below map[string]*node
}

func (n *node) add(name string, values []string) error {
	if !utf8.ValidString(name) || strings.Count(name, ".") >= depthMax {
		return api.Errorf("MalformedQueryString", "", "the parameter name %s is not UTF-8 or has more than %d parts", api.Printable(name), depthMax)
	}
	if len(values) != 1 {
		return api.Errorf("InvalidParameterCombination", api.Printable(name), "the request has the parameter %s %d times", api.Printable(name), len(values))
	}
	if !utf8.ValidString(values[0]) {
		return api.Errorf("InvalidParameterValue", api.Printable(name), "the value of parameter %s is not UTF-8", api.Printable(name))
	}
	end := 0
	for part := range strings.SplitSeq(name, ".") {
		end += len(part)
		n = n.child(part, name[:end])
		end++ // the dot
	}
	n.value = &values[0]
	return nil
}

func (n *node) child(part, name string) *node {
	c := n.below[part]
	if c == nil {
		c = &node{name: name}
		if n.below == nil {
			n.below = map[string]*node{}
		}
		n.below[part] = c
	}
	return c
}

// structure sets the fields of v that something below n names.
func (n *node) structure(v reflect.Value) error {
	for _, part := range slices.Sorted(maps.Keys(n.below)) {
		c := n.below[part]
		i := slices.IndexFunc(tagsOf(v.Type()), func(t tag) bool { return t.query == part && !t.own })
		if i < 0 {
			return unknown(c.name, part, v.Type())
		}
		if err := c.set(v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func unknown(name, part string, t reflect.Type) error {
	e := api.Errorf("UnknownParameter", api.Printable(name), "the parameter %s is not recognized", api.Printable(name))
	for _, right := range tagsOf(t) {
		if strings.EqualFold(right.query, part) && !right.own {
			e.Hint = "write it " + right.query
			e.Message += ": " + e.Hint
		}
	}
	return e
}

// set gives v what n and the names below it say.
func (n *node) set(v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.Struct && v.Type() != timeType:
		if n.value != nil {
			return invalid(n, "it is a structure: name one of its members after a dot")
		}
		return n.structure(v)
	case v.Kind() == reflect.Slice && v.Type() != bytesType:
		if n.value != nil {
			return invalid(n, "it is a list: write "+api.Printable(n.name)+".1")
		}
		return n.list(v)
	}
	for _, part := range slices.Sorted(maps.Keys(n.below)) {
		below := api.Printable(n.below[part].name)
		return api.Errorf("UnknownParameter", below, "the parameter %s is not recognized", below)
	}
	return n.scalar(v)
}

// list reads the elements in the order of their indices, which start at 1 and
// may have gaps, as with EC2.
func (n *node) list(v reflect.Value) error {
	byIndex := make(map[int]*node, len(n.below))
	for _, part := range slices.Sorted(maps.Keys(n.below)) {
		i, err := strconv.Atoi(part)
		// One spelling: 1 and 01 would be two names of one element.
		if err != nil || strconv.Itoa(i) != part || i < 1 || i > indexMax {
			name := api.Printable(n.below[part].name)
			return api.Errorf("UnknownParameter", name, "the parameter %s is not recognized: after %s comes a number from 1 to %d", name, api.Printable(n.name), indexMax)
		}
		byIndex[i] = n.below[part]
	}
	v.Set(reflect.MakeSlice(v.Type(), len(byIndex), len(byIndex)))
	for at, i := range slices.Sorted(maps.Keys(byIndex)) {
		if err := byIndex[i].set(v.Index(at)); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) scalar(v reflect.Value) error {
	text := *n.value
	switch v.Type() {
	case timeType:
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return invalid(n, "it must be a time such as 2006-01-02T15:04:05Z")
		}
		v.Set(reflect.ValueOf(at))
		return nil
	case bytesType:
		b, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return invalid(n, "it must be base64")
		}
		v.SetBytes(b)
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Bool:
		v.SetBool(text == "true")
		if text != "true" && text != "false" {
			return invalid(n, "it must be true or false")
		}
		return nil
	case reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil || text[0] == '+' {
			return invalid(n, fmt.Sprintf("it must be a whole number of %d bits", v.Type().Bits()))
		}
		v.SetInt(i)
		return nil
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || strings.ContainsAny(text, "+xXnN_") {
			return invalid(n, "it must be a number")
		}
		v.SetFloat(f)
		return nil
	}
	return fmt.Errorf("ec2query: no way to decode a %s", v.Type())
}

func invalid(n *node, want string) error {
	value := ""
	if n.value != nil {
		value = *n.value
	}
	return api.Errorf("InvalidParameterValue", api.Printable(n.name), "value (%s) for parameter %s is invalid: %s", api.Printable(value), api.Printable(n.name), want)
}
