#!/usr/bin/env python3
"""Our etcd.proto says what etcd's own files say: every method, field and enum value of ours is there, with the same number,
type and label.

    etcd_proto_test.py OURS    needs golang-etcd-server-dev, which has etcd's files
"""
import pathlib
import re
import sys
import unittest

OURS = pathlib.Path(sys.argv.pop(1))
THEIRS = pathlib.Path("/usr/share/gocode/src/go.etcd.io/etcd")


def declarations(text):
    """{('message RangeRequest', 'key'): 'bytes = 1'}, and so on; a oneof counts as its message."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r"\boption\b[^;{}]*(\{[^}]*\})?[^;}]*;", "", text)
    text = re.sub(r"\[[^\]]*\]", "", text)
    found, scope = {}, []
    for token in re.finditer(r"\b(message|enum|service|oneof)\s+(\w+)\s*\{|([^;{}]+);|\{|\}", text):
        kind, name, statement = token.group(1), token.group(2), token.group(3)
        if kind:
            scope.append(None if kind == "oneof" else f"{kind} {name}")
        elif token.group() == "{":
            scope.append(None)
        elif token.group() == "}":
            scope.pop()
        here = next((s for s in reversed(scope) if s), None)
        words = re.sub(r"\bmvccpb\.", "", " ".join(statement.split())) if statement else ""
        if here and (field := re.fullmatch(r"((?:repeated )?[\w.]+ )?(\w+) = (\d+)", words)):
            found[here, field[2]] = f"{field[1] or ''}= {field[3]}"
    for service, body in re.findall(r"\bservice\s+(\w+)\s*\{(.*?)\n\}", text, re.S):
        for name, signature in re.findall(r"\brpc\s+(\w+)\s*(\([^)]*\)\s*returns\s*\([^)]*\))", body):
            found[f"service {service}", name] = " ".join(signature.split())
    return found


class EtcdProto(unittest.TestCase):
    def test_every_declaration_of_ours_is_theirs(self):
        ours = declarations(OURS.read_text())
        theirs = {}
        for name in ("etcdserver/etcdserverpb/rpc.proto", "mvcc/mvccpb/kv.proto"):
            theirs |= declarations((THEIRS / name).read_text())
        self.assertGreater(len(ours), 80)
        self.assertEqual({k: v for k, v in ours.items() if theirs.get(k) != v}, {})

    def test_a_wrong_number_type_or_method_would_be_noticed(self):
        right = declarations(OURS.read_text())
        for before, after in (("int64 limit = 3", "int64 limit = 4"), ("bytes key = 1", "string key = 1"),
                              ("rpc Range", "rpc Rnage"), ("MOD = 2", "MOD = 3"), ("repeated KeyValue", "KeyValue"),
                              ("(stream WatchRequest)", "(WatchRequest)")):
            text = OURS.read_text()
            self.assertIn(before, text)
            self.assertNotEqual(declarations(text.replace(before, after)), right, before)


if __name__ == "__main__":
    unittest.main()
