package ec2query

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// Version is the only version of EC2's interface that is spoken here.
const Version = "2016-11-15"

// Namespace of an answer's elements.
const Namespace = "http://ec2.amazonaws.com/doc/" + Version + "/"

// timeFormat is EC2's: always UTC, always milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z"

// EncodeResult writes the answer of an action from a pointer to its result. A
// result without members is answered by return, true.
func EncodeResult(action, requestID string, result any) ([]byte, error) {
	v := reflect.ValueOf(result)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return nil, fmt.Errorf("ec2query: the result of %s is %T, not a pointer to a struct", action, result)
	}
	e := &encoder{}
	e.WriteString(xml.Header + "<" + action + `Response xmlns="` + Namespace + `">`)
	e.text("requestId", requestID)
	if v = v.Elem(); v.NumField() == 0 {
		e.text("return", "true")
	}
	// Which lists an answer has beside its objects depends on the question.
	if err := e.structure(v, false); err != nil {
		return nil, fmt.Errorf("ec2query: %s: %w", action, err)
	}
	e.WriteString("</" + action + "Response>")
	return e.Bytes(), nil
}

// EncodeError writes EC2's answer to a request that did nothing.
func EncodeError(code, message, requestID string) []byte {
	e := &encoder{}
	e.WriteString(xml.Header + "<Response><Errors><Error>")
	e.text("Code", code)
	e.text("Message", message)
	e.WriteString("</Error></Errors>")
	// Not requestId, as in a result.
	e.text("RequestID", requestID)
	e.WriteString("</Response>")
	return e.Bytes()
}

type encoder struct{ bytes.Buffer }

// escape writes text so that it cannot end its element. Characters that XML 1.0
// has no way to carry, most control characters, become U+FFFD.
func (e *encoder) escape(s string) {
	// A buffer refuses nothing.
	_ = xml.EscapeText(e, []byte(s))
}

func (e *encoder) text(name, s string) {
	if s == "" {
		e.WriteString("<" + name + "/>")
		return
	}
	e.WriteString("<" + name + ">")
	e.escape(s)
	e.WriteString("</" + name + ">")
}

// structure writes the members that have a value, and those that are printed
// without one. With lists that is every list: an object has all of its own, as
// with EC2, and boto3 makes [] of an empty element but no key of an absent one.
func (e *encoder) structure(v reflect.Value, lists bool) error {
	tags := tagsOf(v.Type())
	for i := range tags {
		f, t := v.Field(i), tags[i]
		empty := f.IsZero() || f.Kind() == reflect.Slice && f.Len() == 0
		if t.own || empty && !t.keep && !(lists && isList(f)) {
			continue
		}
		if err := e.member(f, t); err != nil {
			return fmt.Errorf("%s: %w", t.xml, err)
		}
	}
	return nil
}

// isList tells a list from a text in bytes.
func isList(v reflect.Value) bool { return v.Kind() == reflect.Slice && v.Type() != bytesType }

func (e *encoder) member(v reflect.Value, t tag) error {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if !isList(v) {
		return e.element(t.xml, v)
	}
	name := t.item
	switch {
	case t.flat:
		name = t.xml
	case v.Len() == 0:
		e.text(t.xml, "")
		return nil
	default:
		e.WriteString("<" + t.xml + ">")
		defer e.WriteString("</" + t.xml + ">")
	}
	for i := range v.Len() {
		if err := e.element(name, v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

// element writes one value that is not a list.
func (e *encoder) element(name string, v reflect.Value) error {
	switch v.Type() {
	case timeType:
		e.text(name, v.Interface().(time.Time).UTC().Format(timeFormat))
		return nil
	case bytesType:
		e.text(name, base64.StdEncoding.EncodeToString(v.Bytes()))
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		e.WriteString("<" + name + ">")
		if err := e.structure(v, true); err != nil {
			return err
		}
		e.WriteString("</" + name + ">")
	case reflect.String:
		e.text(name, v.String())
	case reflect.Bool:
		e.text(name, strconv.FormatBool(v.Bool()))
	case reflect.Int32, reflect.Int64:
		e.text(name, strconv.FormatInt(v.Int(), 10))
	case reflect.Float64:
		e.text(name, strconv.FormatFloat(v.Float(), 'g', -1, 64))
	default:
		return fmt.Errorf("no way to encode a %s", v.Type())
	}
	return nil
}
