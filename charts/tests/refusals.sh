# shellcheck shell=bash
# Tests that invalid values are refused, and with which message; sourced by test.sh.

test_that 'a misspelt value is refused by its name' refuses "'imagee' not allowed" --set imagee.tag=1
test_that 'a misspelt inner value is refused by its name' refuses "'levle' not allowed" --set log.levle=debug
test_that 'a tag that YAML read as a number is refused' refuses "at '/image/tag': got number, want string" --set image.tag=1
test_that 'a digest must be one' refuses "at '/image/digest'" --set image.digest=latest
test_that 'a pull policy must be one' refuses "'Always', 'IfNotPresent', 'Never'" --set image.pullPolicy=Sometimes
test_that 'a log format must be one' refuses "'json', 'text'" --set log.format=xml
test_that 'a namespace must be a name' refuses "at '/watchNamespaces/0'" --set 'watchNamespaces={Payments}'
test_that 'a list is not taken for a word' refuses "at '/watchNamespaces': got string, want array" --set watchNamespaces=payments
test_that 'a port must be a port' refuses "at '/service/port'" --set service.port=70000
test_that 'an empty image is refused' refuses "at '/workerImage/repository'" --set workerImage.repository=
test_that 'a label must be a text' refuses "at '/podLabels/a'" --set podLabels.a=1
test_that 'a label of the chart is not set twice' refuses 'app.kubernetes.io/name' \
  --set 'podLabels.app\.kubernetes\.io/name=x'
test_that 'nor by the common labels' refuses 'helm.sh/chart' --set 'commonLabels.helm\.sh/chart=x'
test_that 'an account that is not created is named' \
  refuses 'name the account to use in serviceAccount.name' --set serviceAccount.create=false
test_that 'there is no number of replicas to set' refuses "'replicas' not allowed" --set replicas=2
test_that 'an environment name with a value of its own is refused with that value' \
  refuses 'extraEnv may not set LOG_LEVEL: use the value log.level' --set 'extraEnv[0].name=LOG_LEVEL'
test_that 'an old Kubernetes is refused' refuses '>=1.33.0-0' --kube-version 1.32.0
