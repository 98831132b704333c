"""The desk's own error codes, beside those of ``exceptions.py``."""

from exceptions import ApiException


class NotLoggedIn(ApiException):
    """No login in this browser. Scan the code first."""

    code = 401
    error_code = 1008
    msg = "not_logged_in"


class ServiceUnavailable(ApiException):
    """Something that we need is away or full. Retry as Retry-After says."""

    code = 503
    error_code = 1009
    msg = "service_unavailable"
