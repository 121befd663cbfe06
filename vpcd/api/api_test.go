package api

import (
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fill sets every field of the struct p points to, to a value that depends on
// nothing, so that a member lost on the way through JSON shows.
func fill(p any) { fillValue(reflect.ValueOf(p).Elem(), 1) }

func fillValue(v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("s" + strconv.Itoa(n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(n))
	case reflect.Float64:
		v.SetFloat(float64(n) + 0.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillValue(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillValue(v.Index(0), n)
		fillValue(v.Index(1), n+1)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(int64(n), 0).UTC()))
			return
		}
		for i := range v.NumField() {
			fillValue(v.Field(i), n+i)
		}
	default:
		panic("fill: " + v.Type().String())
	}
}

func TestJSONRoundTrip(t *testing.T) {
	for name, a := range Actions {
		for _, fresh := range []func() any{a.NewRequest, a.NewResult} {
			full := fresh()
			fill(full)
			for _, in := range []any{full, fresh()} {
				b, err := json.Marshal(in)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				out := fresh()
				d := json.NewDecoder(strings.NewReader(string(b)))
				d.DisallowUnknownFields()
				if err := d.Decode(out); err != nil {
					t.Fatalf("%s: %s: %v", name, b, err)
				}
				if !reflect.DeepEqual(in, out) {
					t.Errorf("%s: %T changed on its way through %s", name, in, b)
				}
			}
		}
	}
}

func TestEmptyRequestIsEmptyObject(t *testing.T) {
	for name, a := range Actions {
		if b, _ := json.Marshal(a.NewRequest()); string(b) != "{}" {
			t.Errorf("%s: an empty request reads %s", name, b)
		}
	}
}

// EC2 answers these even when they are empty, and scripts read them unguarded.
func TestEmptyStringsThatArePrinted(t *testing.T) {
	for _, c := range []struct {
		shape any
		want  string
	}{
		{Tag{Key: "k"}, `{"Key":"k","Value":""}`},
		{TagDescription{Key: "k"}, `{"Key":"k","Value":""}`},
		{NetworkInterface{}, `{"Description":""}`},
		{SecurityGroup{}, `{"Description":""}`},
	} {
		if b, err := json.Marshal(c.shape); err != nil || string(b) != c.want {
			t.Errorf("%T: have %s (%v), want %s", c.shape, b, err, c.want)
		}
	}
}

// The registry holds what the two models hold, under the right names.
func TestRegistryComplete(t *testing.T) {
	count := 0
	for _, m := range []struct {
		file string
		own  bool
	}{{"ec2", false}, {"own", true}} {
		for _, name := range operations(t, m.file) {
			count++
			a, ok := Actions[name]
			if !ok {
				t.Errorf("%s is in model/%s.json and not in Actions", name, m.file)
				continue
			}
			if a.Name != name || a.Own != m.own {
				t.Errorf("Actions[%s] = {Name: %s, Own: %v}, want own %v", name, a.Name, a.Own, m.own)
			}
			req, res := reflect.TypeOf(a.NewRequest()).Elem().Name(), reflect.TypeOf(a.NewResult()).Elem().Name()
			if req != name+"Request" || res != name+"Result" {
				t.Errorf("Actions[%s] makes %s and %s", name, req, res)
			}
		}
	}
	if len(Actions) != count {
		t.Errorf("Actions has %d entries, the models %d", len(Actions), count)
	}
}

func operations(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile("model/" + file + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Operations map[string]any }
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range m.Operations {
		names = append(names, name)
	}
	return names
}

func TestMutates(t *testing.T) {
	for name, want := range map[string]bool{
		"CreateVpc": true, "RevokeSecurityGroupEgress": true, "AttachWorkload": true, "ConfirmHost": true, "ModifyLimit": true,
		"DescribeVpcs": false, "DescribeVpcAttribute": false, "VerifyHost": false, "WaitApplied": false,
	} {
		if Actions[name].Mutates != want {
			t.Errorf("%s: Mutates = %v, want %v", name, !want, want)
		}
	}
	for name, a := range Actions {
		_, dry := reflect.TypeOf(a.NewRequest()).Elem().FieldByName("DryRun")
		if a.Own && a.Mutates && !dry {
			t.Errorf("%s changes something and has no DryRun", name)
		}
	}
}

// The names the EC2 Query protocol uses, where they differ from the member's.
func TestWireTags(t *testing.T) {
	for _, c := range []struct {
		shape       any
		field, want string
	}{
		{CreateVpcRequest{}, "CidrBlock", "query=CidrBlock,xml=CidrBlock"},
		{CreateVpcRequest{}, "InstanceTenancy", "query=InstanceTenancy,xml=instanceTenancy,enum=Tenancy"},
		{CreateVpcRequest{}, "TagSpecifications", "query=TagSpecification,xml=TagSpecification,item=item"},
		{DescribeVpcsRequest{}, "VpcIds", "query=VpcId,xml=VpcId,item=VpcId"},
		{DescribeVpcsResult{}, "Vpcs", "query=VpcSet,xml=vpcSet,item=item"},
		{CreateTagsRequest{}, "Resources", "query=ResourceId,xml=ResourceId,item=item,required"},
		{IpPermission{}, "UserIdGroupPairs", "query=Groups,xml=groups,item=item"},
		{NetworkInterface{}, "NetworkInterfaceId", "query=NetworkInterfaceId,xml=networkInterfaceId"},
	} {
		f, ok := reflect.TypeOf(c.shape).FieldByName(c.field)
		if got := f.Tag.Get("ec2"); !ok || got != c.want {
			t.Errorf("%T.%s: have %q, want %q", c.shape, c.field, got, c.want)
		}
	}
}

func TestPtrVal(t *testing.T) {
	if Val(Ptr(7)) != 7 || Val[int](nil) != 0 || *Ptr("a") != "a" {
		t.Error("Val and Ptr do not undo each other")
	}
}
