"""An order that comes by HTTP, read as a typed event and logged as JSON."""

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2, event_source

logger = Logger(service="orders")


@logger.inject_lambda_context
@event_source(data_class=APIGatewayProxyEventV2)
def handler(event: APIGatewayProxyEventV2, context):
    order = event.json_body
    logger.info("order received", extra={"order": order["id"], "items": len(order["items"])})
    total = sum(item["price"] * item["count"] for item in order["items"])
    return {"statusCode": 201, "body": f"order {order['id']}: {total:.2f}"}
