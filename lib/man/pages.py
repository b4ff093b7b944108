#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""pages.py list HEADER: the pages of section 3, each a line: its name and its other names.
pages.py write HEADER VERSION DATE DIRECTORY: write those pages.
pages.py overview HEADER VERSION DATE TEMPLATE EXAMPLES OUTPUT: write libbarbuf(7) from its
template, with a list of the functions and the programs in the directory EXAMPLES.
"""

import errno
import os
import re
import sys
import textwrap

sys.dont_write_bytecode = True  # the folder is of the sources
import header as barbuf_h  # noqa: E402

LIBRARY = "libbarbuf"


def escape(text):
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")


def guard(line):
    """A line of text that begins as a request does."""
    return "\\&" + line if line[:1] in (".", "'") else line


def prose(text, page=None):
    """Text with names in their fonts, a sentence a line."""
    own = [f.name for f in page.functions] if page else []

    def function(found):
        return f"\\fB{found[1]}\\fP()" if found[1] in own else f"\\fB{found[1]}\\fP(3)"

    text = text.replace("\\", "\\e")
    text = re.sub(r"(?<![\w\\])-(?=E[A-Z0-9]{3,}\b|\d|1\b)", r"\\-", text)
    text = re.sub(r"\b(barbuf_\w+)\(\)", function, text)
    text = re.sub(r"@(\w+)(->\w+)?", lambda m: "\\fI" + m[1] + (m[2] or "").replace("-", "\\-") + "\\fP", text)
    text = re.sub(r"\b(BARBUF_[A-Z0-9_]+\*?)", r"\\fB\1\\fP", text)
    text = re.sub(r"(\\-E[A-Z0-9]{3,})\b", r"\\fB\1\\fP", text)
    lines = []
    for sentence in re.split(r"(?<=[.?]) (?=[A-Z\\])", text):
        lines += textwrap.wrap(sentence, 78, break_long_words=False, break_on_hyphens=False)
    return "\n".join(map(guard, lines))


def sentence(text):
    """Text that begins large and ends with a stop."""
    if re.match(r"[a-z]+\b(?!\()", text) and not text.startswith("barbuf"):
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "?")) else text + "."


def literal(text):
    return ".EX\n" + "\n".join(guard(escape(line.expandtabs(8))) for line in text.split("\n")) + "\n.EE"


def prototype(function):
    """The declaration, arguments in italics, within 78 columns."""
    lead = f"{function.returns}{function.name}("
    lines, width = ["\\fB" + escape(lead) + "\\fP"], len(lead)
    for n, (kind, name) in enumerate(function.arguments):
        last = n == len(function.arguments) - 1
        tail = ");" if last else ","
        length = len(kind) + len(name) + len(tail) + 1
        if n and width + length > 78:
            lines.append(" " * len(lead))
            width = len(lead)
        elif n:
            lines[-1] += " "
        part = "\\fB" + escape(kind) + "\\fP"
        part += f"\\fI{name}\\fP" if name else ""
        lines[-1] += part + "\\fB" + tail + "\\fP"
        width += length
    return "\n".join(lines)


def strerror(names):
    first = names.split(",")[0].split(" ")[0][1:]
    return os.strerror(getattr(errno, first))


class Writer:
    def __init__(self, header, version, date):
        self.header, self.version, self.date = header, version, date

    def title(self, name, section):
        what = "Library Functions Manual" if section == 3 else "Miscellaneous Information Manual"
        return f'.TH {name} {section} {self.date} "{LIBRARY} {self.version}" "{what}"\n.ad l\n.nh'

    def comments(self, page):
        """The page's comments, each once, with the functions it is about."""
        found = []
        for function in page.functions:
            if found and found[-1][0] is function.comment:
                found[-1][1].append(function)
            else:
                found.append((function.comment, [function]))
        return found

    def name(self, page):
        lines = []
        for comment, functions in self.comments(page):
            for summary in dict.fromkeys(comment.summary(f.name) for f in functions):
                names = [f.name for f in functions if comment.summary(f.name) == summary]
                lines.append(", ".join(names) + " \\- " + prose(summary.replace("@", "")).replace("\n", " "))
        return [".SH NAME", "\n.br\n".join(re.sub(r"\\f[BIP]", "", line) for line in lines)]

    def synopsis(self, page):
        return [
            ".SH LIBRARY",
            f"{LIBRARY} (\\fI\\-lbarbuf\\fP, \\fIpkg\\-config barbuf\\fP)",
            ".SH SYNOPSIS",
            ".nf",
            "\\fB#include <barbuf.h>\\fP",
            ".PP",
            "\n".join(prototype(function) for function in page.functions),
            ".fi",
        ]

    def description(self, page):
        out = [".SH DESCRIPTION"]
        comments = self.comments(page)
        for comment, functions in comments:
            named = ", ".join(f"\\fB{f.name}\\fP()" for f in functions)
            paragraphs = comment.paragraphs
            if len(comments) > 1:
                out += [".TP", named]
            elif comment.arguments:
                summaries = dict.fromkeys(comment.summary(f.name) for f in functions)
                out.append(prose(sentence("; ".join(summaries)), page))
                for names, text in comment.arguments:
                    names = ", ".join(f"\\fI{n}\\fP" for n in re.findall(r"@(\w+)", names))
                    out += [".TP", names, prose(sentence(text), page)]
                out += [".PP"] if paragraphs else []
            elif paragraphs and first_is_summary(comment, functions):
                pass
            elif comment.summaries:
                summaries = dict.fromkeys(comment.summary(f.name) for f in functions)
                out.append(prose(sentence("; ".join(summaries)), page))
                out += [".PP"] if paragraphs else []
            between = "\n.IP\n" if len(comments) > 1 else "\n.PP\n"
            if paragraphs:
                out.append(between.join(prose(paragraph, page) for paragraph in paragraphs))
        return out + self.types(page)

    def types(self, page):
        """What the functions take and the text names, as the header has it."""
        text = " ".join(f.returns + " ".join(kind for kind, _ in f.arguments) for f in page.functions)
        wanted = {name for name in self.header.types if re.search(rf"\b{name}\b", text)}
        for name in reversed(self.header.types):  # what a type has in it was declared before
            if any(re.search(rf"\b{name}\b", self.header.types[outer]) for outer in wanted):
                wanted.add(name)
        wanted = [name for name in self.header.types if name in wanted]
        said = " ".join(
            " ".join(c.paragraphs + [t for _, t in c.arguments + c.errors] + [c.returns])
            for c, _ in self.comments(page)
        )
        said += " ".join(self.header.types[name] for name in wanted)
        constants = []
        for stem, star in re.findall(r"\b(BARBUF_[A-Z0-9_]+)(\*?)", said):
            constants += [
                text
                for name, text in self.header.constants.items()
                if (name.startswith(stem) if star else name == stem) and text not in constants
            ]
        blocks = ["\n".join(constants)] if constants else []
        blocks += [self.header.types[name] for name in wanted]
        return [".SS Types and constants", literal("\n\n".join(blocks))] if blocks else []

    def returns(self, page):
        out = []
        for comment, functions in self.comments(page):
            text = sentence(comment.returns) if comment.returns else ""
            if not text and any(returns_error(f) for f in functions) and "Returns " not in " ".join(comment.paragraphs):
                text = "0, or a negative errno."
            if text:
                out.append((", ".join(f"\\fB{f.name}\\fP()" for f in functions), prose(text, page)))
        if not out:
            return []
        if len({text for _, text in out}) == 1 and len(out) == len(self.comments(page)):
            return [".SH RETURN VALUE", out[0][1]]
        return [".SH RETURN VALUE"] + [line for named, text in out for line in (".TP", named, text)]

    def errors(self, page):
        out, rest = [], []
        for comment, functions in self.comments(page):
            for names, text in comment.errors:
                if names:
                    text = text or strerror(names)
                    several = len(self.comments(page)) > 1
                    about = "(" + ", ".join(f.name + "()" for f in functions) + ") " if several else ""
                    tag = re.sub(rf"{barbuf_h.ERROR}", lambda m: "\\fB" + escape(m[0]) + "\\fP", names)
                    out += [".TP", tag, prose(about + sentence(text), page)]
                else:
                    rest.append(prose(sentence(text), page))
        out += [line for text in rest for line in (".PP", text)]
        return [".SH ERRORS"] + out if out else []

    def threads(self, page):
        out = [self.header.about.threads.replace(", unless a section says so", "")]
        out += [c.threads for c in [page.section.comment] + [c for c, _ in self.comments(page)] if c.threads]
        return [".SH THREADS", prose(" ".join(sentence(text) for text in out), page)]

    def notes(self, page):
        paragraphs = page.section.comment.paragraphs
        return [".SH NOTES", "\n.PP\n".join(prose(text, page) for text in paragraphs)] if paragraphs else []

    def see_also(self, page, body):
        mentioned = set(re.findall(r"\\fB(barbuf_\w+)\\fP\(3\)", body))
        others = {other.name for other in page.section.pages if other is not page}
        names = sorted(mentioned | others)
        return [".SH SEE ALSO", ",\n".join([f"\\fB{name}\\fP(3)" for name in names] + [f"\\fB{LIBRARY}\\fP(7)"])]

    def page(self, page):
        body = self.name(page) + self.synopsis(page) + self.description(page) + self.returns(page)
        body += self.errors(page) + self.threads(page) + self.notes(page)
        body += self.see_also(page, "\n".join(body))
        return "\n".join(['.\\" SPDX-License-Identifier: LGPL-2.1-or-later', self.title(page.name, 3)] + body) + "\n"

    def functions(self):
        out = []
        for section in self.header.sections:
            out += [f".SS {section.title[0].upper()}{section.title[1:]}"]
            for page in section.pages:
                for comment, functions in self.comments(page):
                    for text in dict.fromkeys(comment.summary(f.name) for f in functions):
                        named = [f.name for f in functions if comment.summary(f.name) == text]
                        out += [".TP", ",\n".join(f"\\fB{name}\\fP(3)" for name in named).replace("\n", " ")]
                        out.append(prose(text))
        return "\n".join(out)

    def overview(self, template, examples):
        def example(found):
            with open(os.path.join(examples, found[1]), encoding="utf-8") as file:
                return literal(file.read().rstrip("\n"))

        text = template.replace("@TITLE@", self.title(LIBRARY, 7)).replace("@FUNCTIONS@", self.functions())
        return re.sub(r"@EXAMPLE (\S+)@", example, text)


def first_is_summary(comment, functions):
    return barbuf_h.first_clause(comment.paragraphs[0]) == comment.summary(functions[0].name)


def returns_error(function):
    """Every function of type int but those that read an object's descriptor."""
    reads = len(function.arguments) == 1 and function.arguments[0][0].startswith("const struct")
    return function.returns in ("int ", "ssize_t ") and not reads


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main():
    command, path, *rest = sys.argv[1:]
    header = barbuf_h.read_or_exit(path)
    if command == "list":
        print("\n".join(" ".join(function.name for function in page.functions) for page in header.pages))
    elif command == "write":
        version, date, directory = rest
        writer = Writer(header, version, date)
        for page in header.pages:
            write(os.path.join(directory, f"{page.name}.3"), writer.page(page))
    elif command == "overview":
        version, date, template, examples, output = rest
        with open(template, encoding="utf-8") as file:
            write(output, Writer(header, version, date).overview(file.read(), examples))


if __name__ == "__main__":
    main()
