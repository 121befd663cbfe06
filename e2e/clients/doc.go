// Package clients drives a private vpcd with the clients that people have: both
// generations of the aws command line, boto3, Terraform with AWS's provider, and
// a crowd of small clients at once. None of them is changed; each gets what
// `vpc env` prints, and nothing else.
//
// # Promises
//
//   - One story, told through every client, has the same outcome, and `vpc`
//     over its own socket sees the same.
//   - Terraform's plan is empty after an apply, updates are made in place, and
//     packets obey the configuration before and after.
//   - Three tiers in three zones, as most people write them for Terraform, reach
//     each other, the world and the host as a small model says, and nothing else.
//   - Who cannot sign, comes too late, or sits in a browser changes nothing.
//   - Many clients at once meet no fault and never get one address twice.
//
// # Where clients are found
//
//	VPC_AWS1       aws CLI v1   else any aws in the usual places that says so
//	VPC_AWS2       aws CLI v2
//	VPC_PYTHON     an interpreter that can import boto3
//	VPC_TERRAFORM  terraform
//	VPC_TF_MIRROR  directory of a filesystem mirror with hashicorp/aws
//
// A client that is not there skips its test and says so; with CI=true, one that
// `make deps` installs fails it.
package clients
