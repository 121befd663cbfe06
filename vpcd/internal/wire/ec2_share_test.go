package wire

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/internal/service"
)

// TestAnAccountHasItsShare: who can sign has no more than a share of the
// connections, and everybody else still gets one.
func TestAnAccountHasItsShare(t *testing.T) {
	const places, share = 16, 4
	l := serveTCP(t, "", "", func(s *EC2) { s.connMax = places })
	var holders []*http.Client
	for i := range 2 * places {
		c := httpClient(t, nil)
		answer, body := askTCP(t, c, l.URL())
		switch {
		case i < share && answer.StatusCode != 200:
			t.Fatalf("connection %d: %d %s", i, answer.StatusCode, body)
		case i >= share && (answer.StatusCode != 503 || !strings.Contains(body, "RequestLimitExceeded") || !answer.Close):
			t.Fatalf("connection %d, beyond the share: %d %s", i, answer.StatusCode, body)
		case i < share:
			holders = append(holders, c)
		}
	}
	if answer, body := askTCPAs(t, httpClient(t, nil), l.URL(), othersKey, goodForm); answer.StatusCode != 200 {
		t.Errorf("another account: %d %s", answer.StatusCode, body)
	}
	for _, c := range holders {
		if answer, body := askTCP(t, c, l.URL()); answer.StatusCode != 200 {
			t.Errorf("on a connection within the share: %d %s", answer.StatusCode, body)
		}
	}
	// A place that is given back can be had again.
	holders[0].CloseIdleConnections()
	var status int
	for range 1000 {
		answer, _ := askTCP(t, httpClient(t, nil), l.URL())
		if status = answer.StatusCode; status == 200 {
			break
		}
	}
	if status != 200 {
		t.Errorf("after a connection was closed: %d", status)
	}
}

// TestSlowBodiesMakeRoom: who only knows the id of a key keeps nobody from
// sending a large request, not even those who sign with that key.
func TestSlowBodiesMakeRoom(t *testing.T) {
	large := goodForm + "&TagSpecification.1.ResourceType=vpc&TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.1.Value=" + strings.Repeat("v", 2*smallBody)
	for name, by := range map[string]service.AccessKey{"another key": othersKey, "the same key": recordedKey} {
		t.Run(name, func(t *testing.T) {
			var server *EC2
			l := serveTCP(t, "", "", func(s *EC2) { server, s.bodyTime = s, patience })
			first := hang(t, l, recordedKey.ID, ec2BodyMax)
			holding(t, server, 1)
			for range 2*largeBodies - 1 {
				hang(t, l, recordedKey.ID, ec2BodyMax)
			}
			holding(t, server, largeBodies)
			if answer, body := askTCPAs(t, httpClient(t, nil), l.URL(), by, large); answer.StatusCode != 200 {
				t.Errorf("%d %s", answer.StatusCode, body)
			}
			if answer, err := io.ReadAll(first); err != nil || !strings.Contains(string(answer), "RequestLimitExceeded") {
				t.Errorf("the first of those who hang: %q, %v", answer, err)
			}
		})
	}
}

// holding waits until so many large bodies are being read.
func holding(t *testing.T, s *EC2, n int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range int(patience / time.Millisecond) {
		if len(s.large.places) == n {
			return
		}
		<-tick.C
	}
	t.Fatalf("%d large bodies are being read, want %d", len(s.large.places), n)
}
