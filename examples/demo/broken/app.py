"""Something is wrong with this one, and its error says what."""


def handler(event, context):
    stock = {"apples": 3}
    print("looking for", event["fruit"])
    return stock[event["fruit"]]
