package nl

import (
	"fmt"
	"sync"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// TestRestlessWorkload: whoever changes his own links faster than they can be
// listed must not hide the workloads of others.
func TestRestlessWorkload(t *testing.T) {
	k := testHost(t)
	inside, quiet, restless := k.make(t, 1), k.make(t, 2), k.make(t, 3)
	d := k.Drivers()
	want := map[int]Workload{}
	for i, name := range []string{quiet, restless} {
		ns, err := Identify(pathOf(name))
		if err != nil {
			t.Fatal(err)
		}
		index := 0x01000010 + i
		l := Link{Kind: Veth, Name: fmt.Sprint("p", i), Alias: fmt.Sprint("eni-", i), MAC: spec.MAC{2, 1, 0, 0, 0, byte(i)}, MTU: 1500, Peer: ns, PeerName: "eth0", PeerMAC: spec.MAC{2, 1, 0, 0, 1, byte(i)}}
		if err := d.Links.Put(ctx, LinkKey{inside, index}, l); err != nil {
			t.Fatal(err)
		}
		w := Workload{Netns: ns, Name: "eth0", MAC: l.PeerMAC, MTU: 1500, Addr: prefix(fmt.Sprintf("10.0.1.%d/24", 10+i))}
		if err := d.Workloads.Put(ctx, index, w); err != nil {
			t.Fatal(err)
		}
		want[index] = w
	}
	c, err := k.conn(restless)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4000 {
		if err := c.setAddress(1, prefix(fmt.Sprintf("127.1.%d.%d/32", i/250, i%250)), 0); err != nil {
			t.Fatal(err)
		}
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		ns, err := Identify(pathOf(restless))
		if err != nil {
			t.Error(err)
			return
		}
		own, err := foreign(ns)
		if err != nil {
			t.Error(err)
			return
		}
		defer own.close()
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = own.setAddress(1, prefix("127.9.9.9/32"), 0)
			_ = own.deleteAddress(1, prefix("127.9.9.9/32"))
		}
	}()
	defer wg.Wait()
	defer close(stop)
	for range 50 {
		have, err := d.Workloads.Observe(ctx, want)
		if err != nil {
			t.Fatalf("one workload hides all: %v", err)
		}
		if have[0x01000010] != want[0x01000010] {
			t.Fatalf("the quiet one is listed as %+v", have[0x01000010])
		}
	}
}
