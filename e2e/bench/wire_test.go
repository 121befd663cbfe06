package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/e2e/clients/query"
)

// TestWireRow: a round counts its calls, a create removes what it made, and an
// answer that is too short is no measurement.
func TestWireRow(t *testing.T) {
	var actions []string
	listed := wireSubnets - 1
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		actions = append(actions, r.Form.Get("Action"))
		fmt.Fprintf(w, "<R><subnet><subnetId>s</subnetId></subnet>%s</R>", strings.Repeat("<subnetId>s</subnetId>", listed))
		io.Copy(io.Discard, r.Body)
	}))
	defer srv.Close()
	s := server{name: "fake", Client: &query.Client{URL: srv.URL}, vpc: "vpc-1"}
	create := wireRow{Action: "CreateSubnet"}
	if err := create.measure(context.Background(), s); err != nil || len(create.PerSecond) != 1 || len(create.Latency.Raw) != wireCalls {
		t.Errorf("%v %+v", err, create)
	}
	if got := strings.Join(actions[:2], " "); got != "CreateSubnet DeleteSubnet" || len(actions) != 2*wireCalls {
		t.Errorf("%d calls, first %s", len(actions), got)
	}
	describe := wireRow{Action: "DescribeSubnets"}
	if err := describe.measure(context.Background(), s); err != nil {
		t.Error(err)
	}
	listed--
	if err := describe.measure(context.Background(), s); err == nil {
		t.Error("a list that misses one was measured")
	}
}
