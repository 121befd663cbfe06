package plan

import (
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
)

// TestTimeoutsOutOfBounds: one that nobody can have asked for costs its own
// interface.
func TestTimeoutsOutOfBounds(t *testing.T) {
	for _, tt := range []struct {
		tcp, udp, stream int32
		problem          string
	}{
		{60, 30, 60, ""}, {432000, 60, 180, ""},
		{59, 30, 60, "TcpEstablishedTimeout of 59 s is not from 60 to 432000"},
		{-1, 30, 60, "TcpEstablishedTimeout of -1 s"}, {432001, 30, 60, "TcpEstablishedTimeout of 432001 s"},
		{60, 0, 60, "UdpTimeout of 0 s is not from 30 to 60"}, {60, 61, 60, "UdpTimeout of 61 s"},
		{60, 30, 59, "UdpStreamTimeout of 59 s is not from 60 to 180"}, {60, 30, 181, "UdpStreamTimeout of 181 s"},
	} {
		w := web()
		n := w.eni("x", "a1", "10.0.1.9", "a-default")
		n.Interface.ConnectionTrackingConfiguration = &api.ConnectionTrackingConfiguration{
			TcpEstablishedTimeout: &tt.tcp, UdpTimeout: &tt.udp, UdpStreamTimeout: &tt.stream}
		p := w.build()
		port, planned := p.Spec.Ports[spec.ENI(n.Index)]
		want := spec.Timeouts{TCPEstablished: uint32(tt.tcp), UDP: uint32(tt.udp), UDPStream: uint32(tt.stream)}
		if tt.problem == "" && (port.Timeouts != want || len(p.Problems) != 0) {
			t.Errorf("%+v: %+v, %q", tt, port.Timeouts, p.Problems)
		}
		if tt.problem != "" && (planned || len(p.Problems) != 1 || !strings.HasPrefix(p.Problems[0], "eni-x: ") || !strings.Contains(p.Problems[0], tt.problem)) {
			t.Errorf("%+v: planned %t, problems %q", tt, planned, p.Problems)
		}
	}
}
