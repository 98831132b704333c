"""What can go wrong in the shop."""


class PaymentDeclined(Exception):
    pass
