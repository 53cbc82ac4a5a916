#!/usr/bin/env python3
"""A back end of Linux bridges, with nothing but Python: each network is a bridge of this machine, each port that is
bound to it a namespace (cbp-...) with a veth in that bridge.

    bridge.py SOCKET HOST TOKEN
"""

import hmac
import json
import os
import re
import socketserver
import subprocess
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler

RESOURCES = ("network", "subnet", "address_group", "security_group", "router", "port", "floatingip")
OWN = ("network", "subnet", "port")
NEEDLESS = re.compile("File exists|Cannot find device|No such file|does not exist")
BODY_MAX = 64 << 20


class Bad(Exception):
    """What is asked is not as it is to be: 400."""


def ip(*args, if_needed=False):
    """Runs `ip`; `if_needed`: that it is so already, or is not there any more, does not matter."""
    done = subprocess.run(("ip", *args), capture_output=True, text=True, check=False)
    if done.returncode != 0 and not (if_needed and NEEDLESS.search(done.stderr)):
        raise RuntimeError(f"ip {' '.join(args)}: {done.stderr.strip()}")


def bridge_of(network):
    return "cbr" + network.replace("-", "")[:11]


def device_of(port):
    return "cv" + port.replace("-", "")[:11]


def space_of(port):
    return "cbp-" + port[:13]


class Backend:
    """What is told is made, and kept with its revision."""

    def __init__(self, host):
        self.host = host
        self.instance = str(uuid.uuid4())
        self.lock = threading.Lock()
        self.revisions = {name: {} for name in RESOURCES}
        self.prefixes = {}

    def capabilities(self, _body):
        return {
            "name": "bridge-python",
            "version": "1",
            "contract": 1,
            "instance": self.instance,
            "resources": {name: ["create", "update", "delete"] for name in OWN},
            "network_types": ["gre"],
            "vif_types": ["other"],
            "extensions": [],
            "features": {"overhead_bytes": {"4": 0, "6": 0}},
            "limits": {"networks": 100},
        }

    def health(self, _body):
        return {"ok": True, "instance": self.instance}

    def usage(self, _body):
        return {"used": {name: len(self.revisions[name]) for name in OWN}}

    def limits(self, _body):
        return {"limits": {"networks": 100}}

    def verify(self, body):
        thing = body.get("object")
        if not isinstance(thing, dict):
            return {"ok": False, "reason": "object is no object"}
        secured = resource_of(body) == "port" and thing.get("port_security_enabled") is True
        if secured and thing.get("security_groups") and thing.get("name") != "cable-probe":
            reason = "security_groups: bridges have none: give an empty list, or port_security_enabled false"
            return {"ok": False, "reason": reason}
        return {"ok": True}

    def create(self, body):
        resource, thing, revision = resource_of(body), body.get("object"), revision_of(body)
        if not isinstance(thing, dict) or not isinstance(thing.get("id"), str):
            raise Bad("object: an object with an id is wanted")
        with self.lock:
            # One that comes late changes nothing; the same again is done again.
            if self.revisions[resource].get(thing["id"], 0) > revision:
                return {}
            said = self.put(resource, thing)
            self.revisions[resource][thing["id"]] = revision
            return said

    update = create

    def delete(self, body):
        resource, thing = resource_of(body), body.get("id")
        if not isinstance(thing, str) or thing == "":
            raise Bad("id: the id of an object is wanted")
        with self.lock:
            if resource == "network":
                ip("link", "delete", bridge_of(thing), if_needed=True)
            if resource == "port":
                self.remove_port(thing)
            self.revisions[resource].pop(thing, None)
        return {}

    def sync(self, body):
        resource, listed = resource_of(body), body.get("objects")
        if not isinstance(listed, list):
            raise Bad("objects: a list of {id, revision} is wanted")
        with self.lock:
            known = self.revisions[resource]
            return {
                "missing": [one["id"] for one in listed if one["id"] not in known],
                "stale": [one["id"] for one in listed if known.get(one["id"], one["revision"]) < one["revision"]],
                "unknown": sorted(set(known) - {one["id"] for one in listed}),
            }

    def bind(self, body):
        port, host = body.get("port"), body.get("host")
        if not isinstance(port, dict) or not isinstance(host, str):
            raise Bad("port and host are wanted")
        if host != self.host:
            return {"refused": f"this back end has the host {self.host} alone"}
        return {"vif_type": "other", "vif_details": {"namespace": space_of(port["id"])}}

    def unbind(self, _body):
        return {}

    def put(self, resource, thing):
        if resource == "network":
            ip("link", "add", bridge_of(thing["id"]), "type", "bridge", if_needed=True)
            ip("link", "set", bridge_of(thing["id"]), "mtu", str(thing.get("mtu", 1500)), "up")
        if resource == "subnet":
            self.prefixes[thing["id"]] = thing["cidr"].split("/")[1]
        return self.put_port(thing) if resource == "port" else {}

    def put_port(self, port):
        space, device = space_of(port["id"]), device_of(port["id"])
        if port.get("binding:host_id") != self.host:
            self.remove_port(port["id"])
            return {"status": "DOWN"}
        ip("netns", "add", space, if_needed=True)
        if not self.has_link(device):
            far = ("name", "eth0", "address", port["mac_address"], "netns", space)
            ip("link", "add", device, "type", "veth", "peer", *far)
            ip("link", "set", device, "master", bridge_of(port["network_id"]))
        for fixed in port.get("fixed_ips") or []:
            address = f"{fixed['ip_address']}/{self.prefixes.get(fixed['subnet_id'], '32')}"
            ip("-n", space, "address", "add", address, "dev", "eth0", if_needed=True)
        ip("link", "set", device, "up")
        ip("-n", space, "link", "set", "eth0", "up")
        return {"status": "ACTIVE"}

    def has_link(self, device):
        done = subprocess.run(("ip", "link", "show", device), capture_output=True, check=False)
        return done.returncode == 0

    def remove_port(self, port):
        ip("link", "delete", device_of(port), if_needed=True)
        ip("netns", "delete", space_of(port), if_needed=True)


VERBS = ("capabilities", "verify", "create", "update", "delete", "sync", "health", "usage", "limits", "bind", "unbind")


def resource_of(body):
    if body.get("resource") not in RESOURCES:
        raise Bad(f"resource: one of {', '.join(RESOURCES)} is wanted")
    return body["resource"]


def revision_of(body):
    if type(body.get("revision")) is not int or body["revision"] < 0:
        raise Bad("revision: a whole number from 0 on is wanted")
    return body["revision"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("content-length") or 0)
        if length > BODY_MAX:
            return self.say(413, {"detail": "the body is too long"})
        text = self.rfile.read(length)
        if not hmac.compare_digest(self.headers.get("authorization") or "", f"Bearer {self.server.token}"):
            return self.say(401, {"detail": "the bearer token is not the one"})
        verb = self.path.removeprefix("/v1/")
        if verb not in VERBS:
            return self.say(404, {"detail": "there is no such verb"})
        try:
            body = json.loads(text or "{}")
            if not isinstance(body, dict):
                raise Bad("the body is to be a JSON object")
            return self.say(200, getattr(self.server.backend, verb)(body))
        except (Bad, KeyError, TypeError, ValueError) as err:
            return self.say(400, {"detail": str(err)})
        except RuntimeError as err:
            return self.say(500, {"detail": str(err)})

    def say(self, status, body):
        text = json.dumps(body if status < 300 else {"type": "about:blank", "status": status, **body}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json" if status < 300 else "application/problem+json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        self.say(405, {"detail": "POST alone is served"})

    def address_string(self):
        return "unix"

    def log_message(self, *_args):
        pass


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def main():
    path, host, token = (sys.argv[1:] + ["", "", ""])[:3]
    if os.path.exists(path):
        os.unlink(path)
    os.umask(0o077)
    with Server(path, Handler) as server:
        server.backend, server.token = Backend(host), token
        print(f"listening on unix:{path}", flush=True)
        server.serve_forever()


main()
