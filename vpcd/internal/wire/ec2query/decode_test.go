package ec2query

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// every has every kind of field that the generator of package api may write.
type every struct {
	Text   string     `ec2:"query=Text"`
	Truth  *bool      `ec2:"query=Truth"`
	Small  *int32     `ec2:"query=Small"`
	Large  *int64     `ec2:"query=Large"`
	Ratio  *float64   `ec2:"query=Ratio"`
	Moment *time.Time `ec2:"query=Moment"`
	Blob   []byte     `ec2:"query=Blob"`
	Texts  []string   `ec2:"query=TextList"`
	Below  *below     `ec2:"query=Below"`
	Many   []below    `ec2:"query=Many"`
}

type below struct {
	Value *int32  `ec2:"query=Value"`
	More  []below `ec2:"query=More"`
}

func parse(t *testing.T, text string) url.Values {
	t.Helper()
	form, err := url.ParseQuery(text)
	if err != nil {
		t.Fatal(err)
	}
	return form
}

func TestDecode(t *testing.T) {
	for text, want := range map[string]every{
		"":                                {},
		"Action=X&Version=1":              {},
		"X-Amz-Date=1&AWSAccessKeyId=A":   {},
		"Text=a+b%2Bc%0A%C3%BC":           {Text: "a b+c\nü"},
		"Text=":                           {},
		"Truth=true":                      {Truth: api.Ptr(true)},
		"Truth=false":                     {Truth: api.Ptr(false)},
		"Small=-2147483648":               {Small: api.Ptr(int32(-1 << 31))},
		"Large=9007199254740993":          {Large: api.Ptr(int64(1<<53 + 1))},
		"Ratio=-0.5e3":                    {Ratio: api.Ptr(-500.0)},
		"Moment=2026-11-22T10:00:00.5Z":   {Moment: api.Ptr(time.Date(2026, 11, 22, 10, 0, 0, 5e8, time.UTC))},
		"Blob=AP8%3D":                     {Blob: []byte{0, 255}},
		"TextList.1=a":                    {Texts: []string{"a"}},
		"TextList.10=c&TextList.9=b":      {Texts: []string{"b", "c"}},
		"TextList.7=&TextList.1000000=x":  {Texts: []string{"", "x"}},
		"Below.Value=7":                   {Below: &below{Value: api.Ptr(int32(7))}},
		"Many.2.Value=2&Many.1.Value=1":   {Many: []below{{Value: api.Ptr(int32(1))}, {Value: api.Ptr(int32(2))}}},
		"Many.1.More.3.More.1.Value=5":    {Many: []below{{More: []below{{More: []below{{Value: api.Ptr(int32(5))}}}}}}},
		"Below.More.1.Value=1&Text=b&X=1": {},
	} {
		var have every
		err := Decode(parse(t, text), &have)
		if strings.Contains(text, "X=1") {
			if e := new(api.Error); !errors.As(err, &e) || e.Code != "UnknownParameter" || e.Field != "X" {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(have, want) {
			t.Errorf("%s: %+v, %v", text, have, err)
		}
	}
}

func TestDecodeRefused(t *testing.T) {
	long := strings.Repeat("A", 300)
	for text, want := range map[string]struct{ code, field, message string }{
		"text=a":                         {"UnknownParameter", "text", "write it Text"},
		"Nonsense=a":                     {"UnknownParameter", "Nonsense", "not recognized"},
		"=a":                             {"UnknownParameter", "", "not recognized"},
		"Text.Sub=a":                     {"UnknownParameter", "Text.Sub", "not recognized"},
		"Text=b&Text.1=a":                {"UnknownParameter", "Text.1", "not recognized"},
		"Text.=a":                        {"UnknownParameter", "Text.", "not recognized"},
		"Below.value=1":                  {"UnknownParameter", "Below.value", "write it Value"},
		"Many.1.Other=1":                 {"UnknownParameter", "Many.1.Other", "not recognized"},
		"TextList.0=a":                   {"UnknownParameter", "TextList.0", "number from 1"},
		"TextList.01=a":                  {"UnknownParameter", "TextList.01", "number from 1"},
		"TextList.-1=a":                  {"UnknownParameter", "TextList.-1", "number from 1"},
		"TextList.1000001=a":             {"UnknownParameter", "TextList.1000001", "number from 1"},
		"TextList.99999999999999=a":      {"UnknownParameter", "TextList.99999999999999", "number from 1"},
		"TextList.x=a":                   {"UnknownParameter", "TextList.x", "number from 1"},
		"TextList.1.Sub=a":               {"UnknownParameter", "TextList.1.Sub", "not recognized"},
		"TextList=a":                     {"InvalidParameterValue", "TextList", "TextList.1"},
		"Below=1":                        {"InvalidParameterValue", "Below", "structure"},
		"Many.1=1":                       {"InvalidParameterValue", "Many.1", "structure"},
		"Text=a&Text=a":                  {"InvalidParameterCombination", "Text", "2 times"},
		"TextList.1=a&TextList.1=b":      {"InvalidParameterCombination", "TextList.1", "2 times"},
		"Truth=True":                     {"InvalidParameterValue", "Truth", "true or false"},
		"Truth=":                         {"InvalidParameterValue", "Truth", "true or false"},
		"Truth=1":                        {"InvalidParameterValue", "Truth", "true or false"},
		"Small=2147483648":               {"InvalidParameterValue", "Small", "32 bits"},
		"Small=":                         {"InvalidParameterValue", "Small", "32 bits"},
		"Small=%2B1":                     {"InvalidParameterValue", "Small", "32 bits"},
		"Small=1.0":                      {"InvalidParameterValue", "Small", "32 bits"},
		"Large=1e3":                      {"InvalidParameterValue", "Large", "64 bits"},
		"Ratio=NaN":                      {"InvalidParameterValue", "Ratio", "number"},
		"Ratio=Inf":                      {"InvalidParameterValue", "Ratio", "number"},
		"Moment=yesterday":               {"InvalidParameterValue", "Moment", "2006-01-02"},
		"Blob=x":                         {"InvalidParameterValue", "Blob", "base64"},
		"Text=%ff":                       {"InvalidParameterValue", "Text", "UTF-8"},
		"T%ff=a":                         {"MalformedQueryString", "", "UTF-8"},
		strings.Repeat("a.", 16) + "b=a": {"MalformedQueryString", "", "16 parts"},
		long + "=a":                      {"UnknownParameter", long[:200] + "...", "not recognized"},
		"A%0A%22=1":                      {"UnknownParameter", `A\n\"`, "not recognized"},
	} {
		var e *api.Error
		err := Decode(parse(t, text), &every{})
		if !errors.As(err, &e) || e.Code != want.code || e.Field != want.field || !strings.Contains(e.Message, want.message) {
			t.Errorf("%.80s: %v, field %q; want %+v", text, err, e.Field, want)
		}
		for range 20 {
			if again := Decode(parse(t, text), &every{}); again.Error() != err.Error() {
				t.Errorf("%.80s: once %v, once %v", text, err, again)
			}
		}
	}
}

func TestTooMany(t *testing.T) {
	form := url.Values{}
	for i := range ParameterMax + 1 {
		form.Set(fmt.Sprintf("TextList.%d", i+1), "a")
	}
	var e *api.Error
	if err := Decode(form, &every{}); !errors.As(err, &e) || e.Code != "MalformedQueryString" {
		t.Error(err)
	}
	form.Del("TextList.1")
	var have every
	if err := Decode(form, &have); err != nil || len(have.Texts) != ParameterMax {
		t.Errorf("%d, %v", len(have.Texts), err)
	}
}

// TestNamesAreUnique: two members of one name could not be told apart.
func TestNamesAreUnique(t *testing.T) {
	for name, a := range api.Actions {
		walk(reflect.TypeOf(a.NewRequest()).Elem(), func(s reflect.Type) {
			seen := map[string]bool{}
			for _, tag := range tagsOf(s) {
				if seen[tag.query] || slices.Contains(envelope, tag.query) || strings.Contains(tag.query, ".") {
					t.Errorf("%s: %s.%s is twice, or of the envelope", name, s.Name(), tag.query)
				}
				seen[tag.query] = true
			}
		})
	}
}

// walk visits the structures that t is made of.
func walk(t reflect.Type, visit func(reflect.Type)) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == timeType {
		return
	}
	visit(t)
	for i := range t.NumField() {
		walk(t.Field(i).Type, visit)
	}
}

// TestRoundTrip: a random request, written down as a client would, comes out as
// it went in.
func TestRoundTrip(t *testing.T) {
	names := slices.Sorted(maps.Keys(api.Actions))
	rapid.Check(t, func(t *rapid.T) {
		a := api.Actions[rapid.SampledFrom(names).Draw(t, "action")]
		want := a.NewRequest()
		draw(t, reflect.ValueOf(want).Elem())
		form := url.Values{"Action": {a.Name}, "Version": {Version}}
		write(form, "", reflect.ValueOf(want).Elem())
		have := a.NewRequest()
		if err := Decode(form, have); err != nil || !reflect.DeepEqual(have, want) {
			t.Fatalf("%s: %v\nform %v\nwant %+v\nhave %+v", a.Name, err, form, want, have)
		}
	})
}

// TestOwnMembers: what EC2's shapes have from us alone does not exist here, in
// neither direction.
func TestOwnMembers(t *testing.T) {
	form := url.Values{"ResourceId.1": {"vpc-1"}, "Tag.1.Key": {"Name"}, "UniqueName": {"true"}}
	var e *api.Error
	if err := Decode(form, new(api.CreateTagsRequest)); !errors.As(err, &e) || e.Code != "UnknownParameter" {
		t.Errorf("a request with one of ours: %v", err)
	}
	out, err := EncodeResult("X", "r", &struct{ Specs []api.TagSpecification }{[]api.TagSpecification{{ResourceType: "vpc", UniqueName: api.Ptr(true)}}})
	if err != nil || strings.Contains(string(out), "UniqueName") || !strings.Contains(string(out), "vpc") {
		t.Errorf("%v\n%s", err, out)
	}
}

// draw fills v at random. Only what a form can say comes about: structures and
// lists have something in them.
func draw(t *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(rapid.String().Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "truth"))
	case reflect.Int32:
		v.SetInt(int64(rapid.Int32().Draw(t, "number")))
	case reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "number"))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		draw(t, v.Elem())
	case reflect.Slice:
		n := rapid.IntRange(1, 3).Draw(t, "length")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			draw(t, v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "time"), 0).UTC()))
			return
		}
		var set []int
		for i := range v.NumField() {
			if !tagsOf(v.Type())[i].own && rapid.Bool().Draw(t, "set") {
				set = append(set, i)
			}
		}
		for _, i := range set {
			draw(t, v.Field(i))
		}
		said := url.Values{}
		if write(said, "", v); len(said) == 0 {
			prime(v)
		}
	default:
		t.Fatalf("no random %s", v.Type())
	}
}

// prime sets one text of v, so that it is not empty.
func prime(v reflect.Value) {
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.String {
			v.Field(i).SetString("x")
			return
		}
	}
	for i := range v.NumField() {
		if p := v.Field(i); p.Kind() == reflect.Pointer {
			p.Set(reflect.New(p.Type().Elem()))
			if p.Elem().Kind() == reflect.Struct && p.Elem().Type() != timeType {
				prime(p.Elem())
			}
			return
		}
	}
}

// write is the other direction of Decode, for the requests of package api.
func write(form url.Values, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			write(form, path, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			// Every other index is left out: they may have gaps.
			write(form, fmt.Sprintf("%s.%d", path, 2*i+1), v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == timeType {
			form.Set(path, v.Interface().(time.Time).Format(time.RFC3339))
			return
		}
		for i := range v.NumField() {
			_, tag, _ := strings.Cut(string(v.Type().Field(i).Tag), `ec2:"query=`)
			name, _, _ := strings.Cut(tag, ",")
			if v.Field(i).Kind() == reflect.String && v.Field(i).String() == "" {
				continue
			}
			write(form, strings.TrimPrefix(path+"."+name, "."), v.Field(i))
		}
	default:
		form.Set(path, fmt.Sprint(v.Interface()))
	}
}

// FuzzDecode: whatever a form says, the answer is a request or an error with a
// code, and a request that was understood can be said again.
func FuzzDecode(f *testing.F) {
	names := slices.Sorted(maps.Keys(api.Actions))
	for _, text := range []string{
		"Action=CreateVpc&CidrBlock=10.0.0.0%2F16&TagSpecification.1.Tag.1.Key=a", "Filter.1.Name=a&Filter.3.Value.2=b",
		"IpPermissions.1.FromPort=22&IpPermissions.1.IpRanges.1.CidrIp=::", "EnableDnsSupport.Value=true", "a.b.c.d=e", "VpcId.1=a&VpcId=b",
	} {
		for i := range names {
			f.Add(uint8(i), text)
		}
	}
	f.Fuzz(func(t *testing.T, action uint8, text string) {
		form, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		a := api.Actions[names[int(action)%len(names)]]
		request := a.NewRequest()
		if err := Decode(form, request); err != nil {
			var e *api.Error
			if !errors.As(err, &e) || e.Code == "" || e.Message == "" {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		again := url.Values{}
		write(again, "", reflect.ValueOf(request).Elem())
		second := a.NewRequest()
		if err := Decode(again, second); err != nil {
			t.Fatalf("%q: %v", again, err)
		}
	})
}
