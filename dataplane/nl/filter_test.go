package nl

import (
	"encoding/binary"
	"testing"

	vnl "github.com/vishvananda/netlink/nl"
)

// filterMessage is a filter as a listing describes it.
func filterMessage(handle, priority uint32, kind string, attrs ...*vnl.RtAttr) []byte {
	msg := ingress(7)
	msg.Handle, msg.Info = handle, priority<<16
	b := append(msg.Serialize(), vnl.NewRtAttr(vnl.TCA_KIND, vnl.ZeroTerminated(kind)).Serialize()...)
	options := vnl.NewRtAttr(vnl.TCA_OPTIONS, nil)
	for _, a := range attrs {
		options.AddChild(a)
	}
	return append(b, options.Serialize()...)
}

// TestOnlyOurPlaceIsOurs: other filters of a link are not ours, whatever they
// are called.
func TestOnlyOurPlaceIsOurs(t *testing.T) {
	name := vnl.NewRtAttr(vnl.TCA_BPF_NAME, vnl.ZeroTerminated("from_eni"))
	tag := vnl.NewRtAttr(vnl.TCA_BPF_TAG, []byte{1, 2, 3, 4, 5, 6, 7, 0xff})
	f, ours, err := parseFilter(filterMessage(filterHandle, filterPriority, filterKind, name, tag))
	if want := (Filter{7, "from_eni", "01020304050607ff"}); f != want || !ours || err != nil {
		t.Errorf("%+v, %v, %v", f, ours, err)
	}
	for what, m := range map[string][]byte{
		"handle":   filterMessage(filterHandle+1, filterPriority, filterKind, name, tag),
		"priority": filterMessage(filterHandle, filterPriority-1, filterKind, name, tag),
		"kind":     filterMessage(filterHandle, filterPriority, "u32", name, tag),
	} {
		if _, ours, err := parseFilter(m); ours || err != nil {
			t.Errorf("another %s: %v, %v", what, ours, err)
		}
	}
}

// FuzzFilters: whatever the kernel sends is an error at worst.
func FuzzFilters(f *testing.F) {
	whole := filterMessage(filterHandle, filterPriority, filterKind, vnl.NewRtAttr(vnl.TCA_BPF_NAME, []byte("x")))
	broken := append([]byte(nil), whole...)
	binary.NativeEndian.PutUint16(broken[vnl.SizeofTcMsg:], 0xffff)
	for _, seed := range [][]byte{nil, make([]byte, vnl.SizeofTcMsg), whole, broken, whole[:len(whole)-3]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, ours, err := parseFilter(b); ours && err != nil {
			t.Error("ours, and an error")
		}
	})
}
