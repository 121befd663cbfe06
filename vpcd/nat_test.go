package vpcd

import (
	"errors"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/dataplane"
)

func TestParseNAT(t *testing.T) {
	for _, row := range []struct {
		ports string
		idle  time.Duration
		want  dataplane.NATConfig
	}{
		{"", 0, dataplane.NATConfig{}},
		{"2000-2015", 2 * time.Second, dataplane.NATConfig{FirstPort: 2000, LastPort: 2015, Idle: 2}},
	} {
		got, err := parseNAT(Config{NATPorts: row.ports, NATIdle: row.idle})
		if err != nil || got != row.want {
			t.Errorf("%q, %s: %+v, %v; want %+v", row.ports, row.idle, got, err, row.want)
		}
	}
	for _, cfg := range []Config{
		{NATPorts: "2000"}, {NATPorts: "1-2"}, {NATPorts: "3000-2000"}, {NATPorts: "2000-70000"}, {NATPorts: "a-b"}, {NATPorts: "2000-2010-2020"},
		{NATIdle: time.Millisecond}, {NATIdle: 48 * time.Hour}, {NATIdle: -time.Second}, {NATIdle: 1500 * time.Millisecond},
	} {
		if _, err := parseNAT(cfg); !errors.Is(err, ErrRefused) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
