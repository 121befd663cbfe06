package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func TestDecode(t *testing.T) {
	body := ` {"GroupId":"sg-1","DryRun":false,"IpPermissions":[
		{"IpProtocol":"tcp","FromPort":-0,"ToPort":65535,"IpRanges":[{"CidrIp":"10.0.0.0/8","Description":"é\u00e9\\\""}],"UserIdGroupPairs":[]},
		{}]}` + "\n"
	want := &api.AuthorizeSecurityGroupIngressRequest{
		GroupId: "sg-1",
		DryRun:  api.Ptr(false),
		IpPermissions: []api.IpPermission{{
			IpProtocol: "tcp", FromPort: api.Ptr(int32(0)), ToPort: api.Ptr(int32(65535)),
			IpRanges:         []api.IpRange{{CidrIp: "10.0.0.0/8", Description: `éé\"`}},
			UserIdGroupPairs: []api.UserIdGroupPair{},
		}, {}},
	}
	have := new(api.AuthorizeSecurityGroupIngressRequest)
	if err := decodeJSON([]byte(body), have); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("\n have %+v\n want %+v", have, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	const sg, value = "AuthorizeSecurityGroupIngress", "InvalidParameterValue"
	for name, c := range map[string]struct{ action, body, code, field string }{
		"empty":            {sg, ``, "MalformedQueryString", ""},
		"blank":            {sg, " \n", "MalformedQueryString", ""},
		"null":             {sg, `null`, "MalformedQueryString", ""},
		"list":             {sg, `[{}]`, "MalformedQueryString", ""},
		"string":           {sg, `"{}"`, "MalformedQueryString", ""},
		"cut":              {sg, `{"GroupId":"sg-1"`, "MalformedQueryString", ""},
		"trailing":         {sg, `{}x`, "MalformedQueryString", ""},
		"second object":    {sg, `{}{}`, "MalformedQueryString", ""},
		"trailing zero":    {sg, "{}\x00", "MalformedQueryString", ""},
		"trailing comma":   {sg, `{"GroupId":"sg-1",}`, "MalformedQueryString", ""},
		"comment":          {sg, `{/**/}`, "MalformedQueryString", ""},
		"single quotes":    {sg, `{'GroupId':'sg-1'}`, "MalformedQueryString", ""},
		"byte order mark":  {sg, "\ufeff{}", "MalformedQueryString", ""},
		"not UTF-8":        {sg, "{\"GroupId\":\"\xff\"}", "MalformedQueryString", ""},
		"NaN":              {sg, `{"FromPort":NaN}`, "MalformedQueryString", ""},
		"leading zero":     {sg, `{"FromPort":080}`, "MalformedQueryString", ""},
		"bare newline":     {sg, "{\"GroupId\":\"a\nb\"}", "MalformedQueryString", ""},
		"deep":             {sg, strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), "MalformedQueryString", ""},
		"deep objects":     {sg, strings.Repeat(`{"":`, 20_000) + "0" + strings.Repeat("}", 20_000), "MalformedQueryString", ""},
		"deep in a member": {sg, `{"GroupId":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, value, "GroupId"},
		"unknown":          {sg, `{"GroupId":"sg-1","Foo":{"a":[1]}}`, "UnknownParameter", "Foo"},
		"unknown below":    {sg, `{"IpPermissions":[{},{"Port":1}]}`, "UnknownParameter", "IpPermissions.1.Port"},
		"other case":       {sg, `{"groupId":"sg-1"}`, "UnknownParameter", "groupId"},
		"empty key":        {sg, `{"":1}`, "UnknownParameter", ""},
		"key to escape":    {sg, `{"a\u001b[31m":1}`, "UnknownParameter", `a\x1b[31m`},
		"twice":            {sg, `{"GroupId":"sg-1","GroupId":"sg-2"}`, "InvalidParameterCombination", "GroupId"},
		"twice, escaped":   {sg, `{"GroupId":"sg-1","Group\u0049d":"sg-1"}`, "InvalidParameterCombination", "GroupId"},
		"twice below":      {sg, `{"IpPermissions":[{"FromPort":1,"FromPort":1}]}`, "InvalidParameterCombination", "IpPermissions.0.FromPort"},
		"number, string":   {sg, `{"GroupId":1}`, value, "GroupId"},
		"string, number":   {sg, `{"FromPort":"80"}`, value, "FromPort"},
		"string, bool":     {sg, `{"DryRun":"true"}`, value, "DryRun"},
		"number, bool":     {sg, `{"DryRun":1}`, value, "DryRun"},
		"object, list":     {sg, `{"IpPermissions":{}}`, value, "IpPermissions"},
		"string, object":   {sg, `{"IpPermissions":["x"]}`, value, "IpPermissions.0"},
		"list, object":     {sg, `{"IpPermissions":[[]]}`, value, "IpPermissions.0"},
		"string, list":     {"DescribeVpcs", `{"VpcIds":"vpc-1"}`, value, "VpcIds"},
		"null member":      {"DescribeVpcs", `{"VpcIds":null}`, value, "VpcIds"},
		"null element":     {"DescribeVpcs", `{"VpcIds":["vpc-1",null]}`, value, "VpcIds.1"},
		"null bool":        {sg, `{"DryRun":null}`, value, "DryRun"},
		"fraction":         {sg, `{"FromPort":80.0}`, value, "FromPort"},
		"exponent":         {sg, `{"FromPort":8e1}`, value, "FromPort"},
		"33 bits":          {sg, `{"FromPort":4294967376}`, value, "FromPort"},
		"huge":             {sg, `{"FromPort":` + strings.Repeat("9", 500) + `}`, value, "FromPort"},
		"half a surrogate": {sg, `{"GroupId":"\ud800"}`, value, "GroupId"},
		"many elements":    {sg, `{"IpPermissions":[{}` + strings.Repeat(",{}", elementMax) + `]}`, value, "IpPermissions"},
	} {
		err := decodeJSON([]byte(c.body), api.Actions[c.action].NewRequest())
		var e *api.Error
		if !errors.As(err, &e) || e.Code != c.code || e.Field != c.field {
			t.Errorf("%s: %v, field %q, want %s %q", name, err, fieldOf(e), c.code, c.field)
		}
		if e != nil && (len(e.Message) > 600 || strings.ContainsFunc(e.Message, func(r rune) bool { return r < ' ' })) {
			t.Errorf("%s: the message is long or not printable: %q", name, e.Message)
		}
	}
}

func fieldOf(e *api.Error) string {
	if e == nil {
		return ""
	}
	return e.Field
}

func TestHintOfOtherCase(t *testing.T) {
	var e *api.Error
	if err := decodeJSON([]byte(`{"vpcid":"x"}`), new(api.DeleteVpcRequest)); !errors.As(err, &e) || e.Hint != "write it VpcId" {
		t.Errorf("%+v", e)
	}
}

// TestEveryRequestDecodes fills every request of the model and reads it back:
// a kind of member that the decoder does not know, or a nesting that it
// refuses, shows here and not at a user's.
func TestEveryRequestDecodes(t *testing.T) {
	for name, a := range api.Actions {
		want := a.NewRequest()
		fill(reflect.ValueOf(want).Elem())
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		have := a.NewRequest()
		if err := decodeJSON(text, have); err != nil || !reflect.DeepEqual(have, want) {
			t.Errorf("%s: %v\n have %+v\n want %+v", name, err, have, want)
		}
	}
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
		fill(v.Index(1))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(1<<31 - 1)
	}
}

func TestTimeIsRead(t *testing.T) {
	type request struct {
		At *time.Time `json:"At"`
	}
	var have request
	if err := decodeJSON([]byte(`{"At":"2026-01-02T03:04:05.000006Z"}`), &have); err != nil || have.At.Nanosecond() != 6000 {
		t.Errorf("%v, %v", have.At, err)
	}
	for _, bad := range []string{`{"At":"yesterday"}`, `{"At":5}`, `{"At":{}}`} {
		if err := decodeJSON([]byte(bad), new(request)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// FuzzDecode compares with encoding/json: what the decoder takes, that takes
// too, as the same value; and it survives a round trip.
func FuzzDecode(f *testing.F) {
	names := make([]string, 0, len(api.Actions))
	for name := range api.Actions {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		full := api.Actions[name].NewRequest()
		fill(reflect.ValueOf(full).Elem())
		text, _ := json.Marshal(full)
		f.Add(i, text)
	}
	for _, text := range []string{`{}`, `{"DryRun":true,"DryRun":true}`, `{"VpcIds":["\ud800"]}`, `[[`, `{"MaxResults":1e2}`, "{}\x00"} {
		f.Add(0, []byte(text))
	}
	f.Fuzz(func(t *testing.T, n int, body []byte) {
		a := api.Actions[names[uint(n)%uint(len(names))]]
		have := a.NewRequest()
		if err := decodeJSON(body, have); err != nil {
			if e := (*api.Error)(nil); !errors.As(err, &e) || e.Code == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		other := a.NewRequest()
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(other); err != nil || !reflect.DeepEqual(have, other) {
			t.Fatalf("encoding/json: %v\n have %+v\n want %+v", err, have, other)
		}
		text, err := json.Marshal(have)
		if err != nil {
			t.Fatal(err)
		}
		again := a.NewRequest()
		if err := decodeJSON(text, again); err != nil {
			t.Fatalf("%s does not read again: %v", text, err)
		}
		if second, _ := json.Marshal(again); !bytes.Equal(text, second) {
			t.Fatalf("%s became %s", text, second)
		}
	})
}

// TestDecodeAbsentOrEmpty: a tag to delete without a value and one with an empty
// value are two requests.
func TestDecodeAbsentOrEmpty(t *testing.T) {
	var request api.DeleteTagsRequest
	if err := decodeJSON([]byte(`{"Resources":["vpc-1"],"Tags":[{"Key":"a"},{"Key":"b","Value":""}]}`), &request); err != nil {
		t.Fatal(err)
	}
	if tags := request.Tags; len(tags) != 2 || tags[0].Value != nil || tags[1].Value == nil || *tags[1].Value != "" {
		t.Errorf("%+v", tags)
	}
}
