package host

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func TestFlowID(t *testing.T) {
	at := netip.MustParseAddrPort
	inOrder := []FlowID{
		{},
		{Interface: "eni-1"},
		{"eni-1", at("9.0.0.1:80"), at("10.0.0.1:5"), "tcp"},
		{"eni-1", at("10.0.0.1:9"), at("10.0.0.1:5"), "tcp"},
		{"eni-1", at("10.0.0.1:80"), at("10.0.0.1:5"), "17"},
		{"eni-1", at("10.0.0.1:80"), at("10.0.0.1:5"), "tcp"},
		{"eni-1", at("10.0.0.1:80"), at("10.0.0.1:40"), "17"},
		{"eni-2", at("9.0.0.1:80"), at("10.0.0.1:5"), "tcp"},
	}
	if !slices.IsSortedFunc(inOrder, FlowID.Compare) {
		t.Error("another order")
	}
	for i, id := range inOrder {
		if back, err := ParseFlowID(id.String()); err != nil || back != id {
			t.Errorf("%q became %+v, %v", id, back, err)
		}
		if i > 0 && inOrder[i-1].Compare(id) == 0 {
			t.Errorf("%+v and %+v are one", inOrder[i-1], id)
		}
	}
	for _, text := range []string{"eni-1", "eni-1 - -", "eni-1 x - tcp", "eni-1 - 10.0.0.1 tcp", "eni-1 - - tcp x"} {
		if id, err := ParseFlowID(text); err == nil {
			t.Errorf("%q became %+v", text, id)
		}
	}
	f := api.Flow{NetworkInterfaceId: "eni-1", Source: "10.0.0.1", SourcePort: api.Ptr(int32(80)), Destination: "10.0.0.1", DestinationPort: api.Ptr(int32(5)), Protocol: "tcp"}
	if FlowIDOf(f) != inOrder[5] || FlowIDOf(api.Flow{NetworkInterfaceId: "eni-1"}) != inOrder[1] {
		t.Errorf("%+v, %+v", FlowIDOf(f), FlowIDOf(api.Flow{NetworkInterfaceId: "eni-1"}))
	}
}
