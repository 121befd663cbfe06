package ec2query

import (
	"reflect"
	"strings"
	"sync"
	"time"
)

// What has kinds of structures and lists and is neither.
var timeType, bytesType = reflect.TypeFor[time.Time](), reflect.TypeFor[[]byte]()

// tag is what a field's tags say of its spelling on this wire.
type tag struct {
	query string // in a form
	xml   string // in an answer
	item  string // of the elements of a list
	flat  bool   // a list without an element around it
	own   bool   // an extension of ours, which does not exist on this wire
	// keep: printed in an answer even when it is empty, as in JSON.
	keep bool
}

// known holds the tags of every struct met so far, of which package api has a
// fixed number: an answer of a thousand objects would read them a thousand times.
var known sync.Map // of []tag by reflect.Type

// tagsOf returns the tags of t's fields in their order.
func tagsOf(t reflect.Type) []tag {
	if tags, ok := known.Load(t); ok {
		return tags.([]tag)
	}
	tags := make([]tag, t.NumField())
	for i := range tags {
		tags[i] = tagOf(t.Field(i))
	}
	known.Store(t, tags)
	return tags
}

func tagOf(f reflect.StructField) tag {
	t := tag{query: f.Name, xml: f.Name, item: "item"}
	for opt := range strings.SplitSeq(f.Tag.Get("ec2"), ",") {
		key, value, _ := strings.Cut(opt, "=")
		switch key {
		case "query":
			t.query = value
		case "xml":
			t.xml = value
		case "item":
			t.item = value
		case "flat":
			t.flat = true
		case "own":
			t.own = true
		}
	}
	_, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	t.keep = options != "omitempty"
	return t
}
