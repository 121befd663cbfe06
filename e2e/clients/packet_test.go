package clients

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/vpcfabric/vpc/e2e/probe"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
)

// sent is how many packets a negative test sends.
const sent = 5

// drops counts an account's dropped packets by reason/stage.
func (h *host) drops(account string) map[string]int64 {
	h.Helper()
	out := map[string]int64{}
	for _, d := range ask[api.DescribeDropsResult](h, account, "drops").Drops {
		out[d.Reason+"/"+d.Stage] += api.Val(d.Packets)
	}
	return out
}

// settled waits until the kernel has what the store has now. Answers over HTTP
// do not wait for it, as EC2's do not.
func (h *host) settled() {
	h.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := client.New(h.socket)
	defer c.Close()
	_, now, err := client.Call[api.DescribeVpcsRequest, api.DescribeVpcsResult](ctx, c, "DescribeVpcs", &api.DescribeVpcsRequest{})
	h.must(err)
	h.eventually("the kernel obeys", func() error {
		res, _, err := client.Call[api.WaitAppliedRequest, api.WaitAppliedResult](ctx, c, "WaitApplied", &api.WaitAppliedRequest{Revision: &now})
		if err == nil && !api.Val(res.Applied) {
			err = fmt.Errorf("revision %d is not applied", now)
		}
		return err
	})
}

// blocked sends packets, of which the receiver must see none and the named drop
// counter, and no other, must count all. Callers send what passes before and
// after it on the same path.
func (s *story) blocked(from, to string, dst netip.AddrPort, reason string) {
	s.Helper()
	s.host.blocked(s.account, from, to, "tcp", dst, reason)
}

func (h *host) blocked(account, from, to, proto string, dst netip.AddrPort, reason string) {
	h.Helper()
	src, _, err := probe.Address(from)
	h.must(err)
	p := probe.Packet{Proto: proto, Token: probe.NewToken(), ID: 1, SrcPort: 40000, Src: src.Addr(), Dst: dst.Addr(), DstPort: dst.Port()}
	before := h.drops(account)
	sniffer, err := probe.Sniff(to, p.Token)
	h.must(err)
	defer sniffer.Close()
	h.must(probe.Send(from, p, sent))
	h.eventually(fmt.Sprintf("%d packets to %s are dropped as %s", sent, dst, reason), func() error {
		rose := map[string]int64{}
		for name, n := range h.drops(account) {
			if n != before[name] {
				rose[name] = n - before[name]
			}
		}
		if len(rose) != 1 || rose[reason] != sent {
			return fmt.Errorf("rose: %v", rose)
		}
		return nil
	})
	if n := sniffer.Count(); n != 0 {
		h.Errorf("%d of the packets to %s arrived", n, dst)
	}
}
