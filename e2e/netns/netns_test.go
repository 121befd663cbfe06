package netns

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"os"
	"testing"
)

func TestAddDoDelete(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	b := make([]byte, 4)
	rand.Read(b)
	name := "n" + hex.EncodeToString(b)
	if err := Add(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Delete(name) })
	if !Exists(name) {
		t.Error("an added namespace does not exist")
	}
	if err := Add(name); err == nil {
		t.Error("a name can be added twice")
	}
	home, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	err = Do(name, func() error {
		links, err := net.Interfaces()
		// A new namespace has loopback; kernels may add tunnel devices, never a veth.
		if err == nil && (len(links) == 0 || links[0].Name != "lo" || links[0].Flags&net.FlagUp != 0) {
			t.Errorf("not a new namespace: %v", links)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if back, err := net.Interfaces(); err != nil || len(back) != len(home) {
		t.Errorf("not home again: %v (%v)", back, err)
	}
	for range 2 {
		if err := Delete(name); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if Exists(name) || Do(name, func() error { return nil }) == nil {
		t.Error("a deleted namespace is still there")
	}
}
