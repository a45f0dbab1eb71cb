"""The AWS wire: who calls, which operation, with what, and AWS's answer in AWS's form."""
