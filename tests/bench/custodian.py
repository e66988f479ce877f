"""custodian, but its SQS client goes where AWS_ENDPOINT_URL points: the original insists on the address of AWS itself."""
import sys

from c7n.cli import main
from c7n.resources.sqs import SQS
from c7n.utils import local_session

SQS.get_client = lambda self: local_session(self.session_factory).client("sqs")
sys.exit(main())
