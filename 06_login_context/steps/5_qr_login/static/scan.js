// Somebody sees the page: a messenger that makes a preview of the link doesn't run this.
navigator.sendBeacon("", new URLSearchParams({ action: "scanned" }));
