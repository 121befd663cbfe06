package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vpcfabric/vpc/vpcd/api"
)

const (
	// elementMax bounds the list elements of one request, because an empty one
	// takes three bytes on the wire and a hundred times that in memory.
	elementMax = 10_000
	// depthMax bounds nesting; the deepest request of the model has less than half.
	depthMax = 16
)

// decodeJSON reads a body into request, a pointer to a struct that is empty.
// Unlike encoding/json it takes one spelling of each member and one member of
// each spelling, so that two readers of a request cannot differ. Errors are
// *api.Error with the member as Field: MalformedQueryString (not JSON),
// UnknownParameter, InvalidParameterValue, InvalidParameterCombination (given twice).
func decodeJSON(body []byte, request any) error {
	if !utf8.Valid(body) {
		return malformed("the body is not UTF-8")
	}
	// Also finds what follows the value, which a Decoder leaves unread.
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		return malformedJSON(err)
	}
	d := &jsonDecoder{tokens: json.NewDecoder(bytes.NewReader(body))}
	d.tokens.UseNumber()
	start, err := d.next()
	if err != nil {
		return err
	}
	if start != json.Delim('{') {
		return malformed("the body is not a JSON object")
	}
	return d.object(reflect.ValueOf(request).Elem(), "", 1)
}

func malformed(text string) *api.Error {
	return api.Errorf("MalformedQueryString", "", "%s", text)
}

func malformedJSON(err error) *api.Error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return malformed(fmt.Sprintf("the body is not JSON at byte %d: %s", syntax.Offset, api.Printable(err.Error())))
	}
	return malformed("the body is not JSON: " + api.Printable(err.Error()))
}

// jsonDecoder walks a text that is known to be JSON along a type.
type jsonDecoder struct {
	tokens   *json.Decoder
	elements int
}

func (d *jsonDecoder) next() (json.Token, error) {
	t, err := d.tokens.Token()
	if errors.Is(err, io.EOF) {
		return nil, malformed("the body ends too early")
	}
	if err != nil {
		return nil, malformedJSON(err)
	}
	return t, nil
}

// object reads what follows a {.
func (d *jsonDecoder) object(v reflect.Value, path string, depth int) error {
	if depth > depthMax {
		return malformed(fmt.Sprintf("the body nests deeper than %d levels", depthMax))
	}
	seen := make([]bool, v.NumField())
	for {
		t, err := d.next()
		if err != nil {
			return err
		}
		if t == json.Delim('}') {
			return nil
		}
		key, ok := t.(string)
		if !ok {
			return malformed("an object's key is not a string")
		}
		i := member(v.Type(), key)
		if i < 0 {
			return unknown(v.Type(), path, key)
		}
		at := path + key
		if seen[i] {
			return api.Errorf("InvalidParameterCombination", at, "the request has the parameter %s twice", at)
		}
		seen[i] = true
		if t, err = d.next(); err != nil {
			return err
		}
		if err := d.value(t, v.Field(i), at, depth); err != nil {
			return err
		}
	}
}

// member returns the index of the field with a JSON name, or -1.
func member(t reflect.Type, name string) int {
	for i := range t.NumField() {
		if jsonName(t.Field(i)) == name {
			return i
		}
	}
	return -1
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func unknown(t reflect.Type, path, key string) error {
	at := path + api.Printable(key)
	e := api.Errorf("UnknownParameter", at, "there is no parameter %s", at)
	for i := range t.NumField() {
		if name := jsonName(t.Field(i)); strings.EqualFold(name, key) {
			e.Hint = "write it " + name
		}
	}
	return e
}

// value sets v to what starts with token t.
func (d *jsonDecoder) value(t json.Token, v reflect.Value, path string, depth int) error {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch at := v.Addr().Interface().(type) {
	case *time.Time:
		return setTime(t, at, path)
	}
	switch v.Kind() {
	case reflect.Struct:
		if t != json.Delim('{') {
			return wrongType(t, path, "an object")
		}
		return d.object(v, path+".", depth+1)
	case reflect.Slice:
		if t != json.Delim('[') {
			return wrongType(t, path, "a list")
		}
		return d.list(v, path, depth+1)
	case reflect.String:
		return setString(t, v, path)
	case reflect.Bool:
		b, ok := t.(bool)
		if !ok {
			return wrongType(t, path, "true or false")
		}
		v.SetBool(b)
		return nil
	case reflect.Int32, reflect.Int64:
		return setInt(t, v, path)
	}
	return fmt.Errorf("wire: no way to decode a %s", v.Type())
}

// list reads what follows a [. An empty list is not an absent one.
func (d *jsonDecoder) list(v reflect.Value, path string, depth int) error {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for i := 0; ; i++ {
		t, err := d.next()
		if err != nil {
			return err
		}
		if t == json.Delim(']') {
			return nil
		}
		if d.elements++; d.elements > elementMax {
			return api.Errorf("InvalidParameterValue", path, "the lists of the request have more than %d elements", elementMax)
		}
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		if err := d.value(t, v.Index(i), path+"."+strconv.Itoa(i), depth); err != nil {
			return err
		}
	}
}

func setString(t json.Token, v reflect.Value, path string) error {
	s, ok := t.(string)
	if !ok {
		return wrongType(t, path, "a string")
	}
	// What the JSON reader puts in the place of half a surrogate pair: two
	// different names would become the same.
	if strings.ContainsRune(s, utf8.RuneError) {
		return api.Errorf("InvalidParameterValue", path, "the value of parameter %s has a character that is not Unicode", path)
	}
	v.SetString(s)
	return nil
}

// setInt takes no fraction and no exponent: 80.5 must not become 80, and 1e3 is
// more likely a mistake than a port.
func setInt(t json.Token, v reflect.Value, path string) error {
	n, ok := t.(json.Number)
	if !ok {
		return wrongType(t, path, "a number")
	}
	i, err := strconv.ParseInt(n.String(), 10, v.Type().Bits())
	if err != nil {
		return api.Errorf("InvalidParameterValue", path, "value (%s) for parameter %s is invalid: it must be a whole number of %d bits",
			api.Printable(n.String()), path, v.Type().Bits())
	}
	v.SetInt(i)
	return nil
}

func setTime(t json.Token, at *time.Time, path string) error {
	s, ok := t.(string)
	if !ok {
		return wrongType(t, path, "a time as a string")
	}
	parsed, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return api.Errorf("InvalidParameterValue", path, "value (%s) for parameter %s is invalid: it must be a time such as 2006-01-02T15:04:05Z",
			api.Printable(s), path)
	}
	*at = parsed
	return nil
}

func wrongType(t json.Token, path, want string) error {
	have := "null"
	switch t := t.(type) {
	case json.Delim:
		have = map[json.Delim]string{'{': "an object", '[': "a list"}[t]
	case string:
		have = "a string"
	case json.Number:
		have = "a number"
	case bool:
		have = strconv.FormatBool(t)
	}
	e := api.Errorf("InvalidParameterValue", path, "the value of parameter %s is %s, not %s", path, have, want)
	if t == nil {
		e.Hint = "leave out a parameter that has no value"
	}
	return e
}
