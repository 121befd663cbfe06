package api

import (
	"encoding/json"
	"testing"
)

func TestExitAndStatus(t *testing.T) {
	for _, c := range []struct {
		code         string
		exit, status int
	}{
		{"DryRunOperation", 0, 412},

		{"InvalidVpcID.NotFound", 3, 400},
		{"InvalidSubnetID.NotFound", 3, 400},
		{"InvalidGroup.NotFound", 3, 400},
		{"InvalidPermission.NotFound", 3, 400},
		{"NatGatewayNotFound", 3, 400},

		{"DependencyViolation", 4, 400},
		{"CannotDelete", 4, 400},
		{"IdempotentParameterMismatch", 4, 400},
		{"InvalidSubnet.Conflict", 4, 400},
		{"InvalidGroup.Duplicate", 4, 400},
		{"InvalidPermission.Duplicate", 4, 400},
		{"InvalidGroup.InUse", 4, 400},
		{"InvalidIPAddress.InUse", 4, 400},
		{"InvalidNetworkInterface.InUse", 4, 400},
		{"InvalidAddress.Locked", 4, 400},
		{"VpcLimitExceeded", 4, 400},
		{"RulesPerSecurityGroupLimitExceeded", 4, 400},
		{"InsufficientFreeAddressesInSubnet", 4, 400},
		{"RouteAlreadyExists", 4, 400},
		{"InsufficientAddressCapacity", 4, 400},
		{"DefaultVpcAlreadyExists", 4, 400},
		{"Resource.AlreadyAssociated", 4, 400},

		{"RequestTimeout", 5, 400},
		{"OutcomeUnknown", 5, 400},

		{"UnauthorizedOperation", 6, 403},
		{"AuthFailure", 6, 401},

		{"InvalidParameterValue", 8, 400},
		{"InvalidParameterCombination", 8, 400},
		{"InvalidVpc.Range", 8, 400},
		{"InvalidSubnet.Range", 8, 400},
		{"InvalidGroupId.Malformed", 8, 400},
		{"NatGatewayMalformed", 8, 400},
		{"InvalidGroup.Reserved", 8, 400},
		{"InvalidStateTransition", 8, 400},
		{"InvalidAction", 8, 400},
		{"IncorrectState", 8, 400},
		{"MissingParameter", 8, 400},
		{"UnknownParameter", 8, 400},
		{"UnsupportedOperation", 8, 400},
		{"OperationNotPermitted", 8, 400},
		{"Gateway.NotAttached", 8, 400},

		{"RequestLimitExceeded", 1, 503},
		{"Unavailable", 1, 503},
		{"InternalError", 1, 500},
		{"", 1, 400},
	} {
		if got := ExitCode(c.code); got != c.exit {
			t.Errorf("ExitCode(%q) = %d, want %d", c.code, got, c.exit)
		}
		if got := HTTPStatus(c.code); got != c.status {
			t.Errorf("HTTPStatus(%q) = %d, want %d", c.code, got, c.status)
		}
	}
}

func TestErrorJSON(t *testing.T) {
	e := Errorf("DependencyViolation", "VpcId", "vpc %s is in use", "vpc-1")
	e.BlockedBy = []Blocker{{Kind: "subnet", Id: "subnet-1"}}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Code":"DependencyViolation","Message":"vpc vpc-1 is in use","Field":"VpcId","BlockedBy":[{"Kind":"subnet","Id":"subnet-1"}]}`
	if string(b) != want {
		t.Errorf("JSON\n have %s\n want %s", b, want)
	}
	if e.Error() != "DependencyViolation: vpc vpc-1 is in use" {
		t.Errorf("Error() = %q", e.Error())
	}
}

// TestExitOfConflict: EC2 calls some conflicts refused values.
func TestExitOfConflict(t *testing.T) {
	e := Errorf("InvalidParameterValue", "VpcId", "network vpc-1 already has an internet gateway attached")
	if got := e.Exit(); got != ExitRefused {
		t.Errorf("alone: %d", got)
	}
	e.BlockedBy = []Blocker{{Kind: "igw", Id: "igw-1"}}
	if got := e.Exit(); got != ExitConflict {
		t.Errorf("because of another object: %d", got)
	}
}
