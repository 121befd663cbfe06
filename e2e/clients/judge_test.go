package clients

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestWithinSeesDifferences: what judges the clients is tested first.
func TestWithinSeesDifferences(t *testing.T) {
	for _, row := range []struct{ part, whole, diff string }{
		{`{"A":[{"B":1,"C":""}]}`, `{"A":[{"B":1,"D":2}],"E":3}`, ""},
		{`{"T":"2026-11-22T10:00:00+00:00"}`, `{"T":"2026-11-22T10:00:00.5Z"}`, ""},
		{`{"T":"2026-11-22T10:00:00+00:00"}`, `{"T":"2026-11-22T10:00:01Z"}`, "x.T"},
		{`{"A":[]}`, `{}`, ""},
		{`{"A":[1]}`, `{"A":[1,2]}`, "x.A"},
		{`{"A":[1,2]}`, `{"A":[2,1]}`, "x.A[]"},
		{`{"A":false}`, `{}`, "x.A"},
		{`{"A":{"B":"c"}}`, `{"A":{"B":"d"}}`, "x.A.B"},
	} {
		var part, whole any
		if json.Unmarshal([]byte(row.part), &part) != nil || json.Unmarshal([]byte(row.whole), &whole) != nil {
			t.Fatal(row)
		}
		got := within(part, whole, "x")
		if (got == "") != (row.diff == "") || !strings.HasPrefix(got, row.diff) {
			t.Errorf("%s in %s: %q, want %q", row.part, row.whole, got, row.diff)
		}
	}
}

// TestHoldersSeeASecondOne: while somebody holds it, and not afterwards.
func TestHoldersSeeASecondOne(t *testing.T) {
	h := holders{held: map[string]string{}}
	if other := h.take("10.0.0.5", "a"); other != "" {
		t.Errorf("%s has it at first", other)
	}
	if other := h.take("10.0.0.5", "b"); other != "a" {
		t.Errorf("%q has it, want a", other)
	}
	h.release("10.0.0.5")
	if other := h.take("10.0.0.5", "b"); other != "" {
		t.Errorf("%s still has it", other)
	}
}

func TestWordsAndNames(t *testing.T) {
	got := strings.Join(words(`ec2 x --q 'a b' --tags Key=v,'c  d'`), "|")
	if want := "ec2|x|--q|a b|--tags|Key=v,|c  d"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for action, want := range map[string]string{"DescribeVpcs": "describe-vpcs", "AssignPrivateIpAddresses": "assign-private-ip-addresses", "VpcIds": "vpc-ids"} {
		if got := kebab(action); got != want {
			t.Errorf("%s is %s, want %s", action, got, want)
		}
	}
}
