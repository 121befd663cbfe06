package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// trackingFlags are the timeouts of an ENI as flags.
type trackingFlags struct {
	tcp, udp, stream timeoutFlag
}

// timeoutFlag is one of them; what was not given stays as it is, or follows the
// default.
type timeoutFlag struct {
	flag    *pflag.Flag
	seconds int32
}

func (f *trackingFlags) add(cmd *cobra.Command) {
	f.tcp.add(cmd, "tcp-established-timeout", "seconds after which an idle TCP connection is forgotten")
	f.udp.add(cmd, "udp-timeout", "seconds after which a single UDP exchange is forgotten")
	f.stream.add(cmd, "udp-stream-timeout", "seconds after which an idle UDP stream is forgotten")
}

func (f *timeoutFlag) add(cmd *cobra.Command, name, usage string) {
	cmd.Flags().Int32Var(&f.seconds, name, 0, usage)
	f.flag = cmd.Flags().Lookup(name)
}

func (f *timeoutFlag) given() *int32 {
	if !f.flag.Changed {
		return nil
	}
	return &f.seconds
}

// request is what the flags say, nil when none was given.
func (f *trackingFlags) request() *api.ConnectionTrackingSpecificationRequest {
	r := api.ConnectionTrackingSpecificationRequest{
		TcpEstablishedTimeout: f.tcp.given(), UdpTimeout: f.udp.given(), UdpStreamTimeout: f.stream.given()}
	if r == (api.ConnectionTrackingSpecificationRequest{}) {
		return nil
	}
	return &r
}

// timeouts shows only those that were set; the others follow the defaults.
func timeouts(c *api.ConnectionTrackingConfiguration) string {
	if c == nil {
		return ""
	}
	var out []string
	for _, t := range []struct {
		name string
		s    *int32
	}{{"tcp-established", c.TcpEstablishedTimeout}, {"udp", c.UdpTimeout}, {"udp-stream", c.UdpStreamTimeout}} {
		if t.s != nil {
			out = append(out, fmt.Sprintf("%s %d s", t.name, *t.s))
		}
	}
	return strings.Join(out, ", ")
}
