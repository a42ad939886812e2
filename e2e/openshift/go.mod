// OpenShift's API module, of which route-crd.sh takes one file. Nothing is compiled.
module balancefleet.io/e2e/openshift

go 1.26

require github.com/openshift/api v0.0.0-20260318185450-1f2fa3f09f4e
