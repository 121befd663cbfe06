package parity

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// param is one parameter of an action, as EC2's clients spell it.
type param struct {
	action string
	// path has N for the positions of lists: IpPermissions.N.IpRanges.N.CidrIp.
	path string
	// member is the path by the model's names, which are those of the CLI and
	// of the JSON wire.
	member   string
	kind     string // string, bool, int or struct
	list     bool   // path ends in .N
	required bool
	enum     string
	// low and high bound a number, "" where the model has no bound.
	low, high string
}

// ec2Actions are the actions of EC2 that are served, sorted.
func ec2Actions() []string {
	var out []string
	for name, a := range api.Actions {
		if !a.Own {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// paramsOf lists the parameters of an action in the order of the model, those
// within structures too. Structures themselves have kind struct.
func paramsOf(action string) []param {
	return below(reflect.TypeOf(api.Actions[action].NewRequest()).Elem(), param{action: action})
}

// leaves are the parameters that have a value.
func leaves(params []param) []param {
	return slices.DeleteFunc(slices.Clone(params), func(p param) bool { return p.kind == "struct" })
}

func below(t reflect.Type, parent param) []param {
	var out []param
	for i := range t.NumField() {
		f := t.Field(i)
		p := param{action: parent.action, member: join(parent.member, f.Name)}
		for opt := range strings.SplitSeq(f.Tag.Get("ec2"), ",") {
			key, value, _ := strings.Cut(opt, "=")
			switch key {
			case "query":
				p.path = join(parent.path, value)
			case "required":
				p.required = true
			case "enum":
				p.enum = value
			case "min":
				p.low = value
			case "max":
				p.high = value
			}
		}
		if p.path == "" {
			continue // ours, and on the other wire only
		}
		of := f.Type
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if of.Kind() == reflect.Slice {
			p.list, of, p.path = true, of.Elem(), p.path+".N"
		}
		p.kind = kindOf(of)
		out = append(out, p)
		if p.kind == "struct" {
			out = append(out, below(of, p)...)
		}
	}
	return out
}

func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int32, reflect.Int64:
		return "int"
	case reflect.Struct:
		if t != reflect.TypeFor[time.Time]() {
			return "struct"
		}
	}
	panic("no requests had a " + t.String() + " so far")
}

func join(a, b string) string { return strings.TrimPrefix(a+"."+b, ".") }

// at is the parameter at the first position of every list.
func (p param) at() string { return strings.ReplaceAll(p.path+".", ".N.", ".1.")[:len(p.path)] }

// name is the last word of the path, which a message about it has to say.
func (p param) name() string {
	words := strings.Split(strings.TrimSuffix(p.path, ".N"), ".")
	return words[len(words)-1]
}

// mandatory tells whether a value is wanted where the name is given: of a
// required parameter, and of an element of a list.
func (p param) mandatory() bool {
	return p.required || p.list || strings.HasSuffix(p.path, ".N.Key") || strings.HasSuffix(p.path, ".N.Name")
}

// parent is the name of the structure that a parameter is in, or its own.
func (p param) parent() string {
	words := strings.Split(strings.ReplaceAll(p.path, ".N", ""), ".")
	return words[max(0, len(words)-2)]
}

func TestParams(t *testing.T) {
	var got []string
	for _, p := range paramsOf("CreateSecurityGroup") {
		got = append(got, fmt.Sprintf("%s %s %v %v", p.at(), p.kind, p.list, p.required))
	}
	want := []string{
		"GroupDescription string false true", "GroupName string false true", "VpcId string false false",
		"TagSpecification.1 struct true false", "TagSpecification.1.ResourceType string false false",
		"TagSpecification.1.Tag.1 struct true false", "TagSpecification.1.Tag.1.Key string false false", "TagSpecification.1.Tag.1.Value string false false",
		"DryRun bool false false",
	}
	if !slices.Equal(got[:5], want[:5]) || got[len(got)-1] != want[len(want)-1] {
		t.Errorf("have %q", got)
	}
}
