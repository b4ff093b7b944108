# SPDX-License-Identifier: LGPL-2.1-or-later
"""What barbuf.h says: its sections, functions, types and the comments on them.

The header is prose for people first, and this reads the few forms it has:

- A comment whose first line is dashes and a title begins a section.
- A comment stands on the lines before what it is about, without an empty line
  between. All that follows without an empty line shares a page; a further comment
  among it is about what follows that.
- "/**" comments have "name() - summary" lines, "@argument: text" and paragraphs.
- "Return:", "Errors:" and "Threads:" begin what their names say, and so does a sentence
  "-ENAME: text".

Linux' kernel-doc reads the second form alone, and Debian packages it only with the
kernel's source.
"""

import re
import sys
from dataclasses import dataclass, field

ERROR = r"-E[A-Z0-9]+"
ERRORS = rf"{ERROR}(?:(?:, | or |, or ){ERROR})*"


@dataclass
class Comment:
    line: int
    kernel_doc: bool = False
    summaries: dict = field(default_factory=dict)  # function: summary
    arguments: list = field(default_factory=list)  # (names, text)
    paragraphs: list = field(default_factory=list)
    returns: str = ""
    errors: list = field(default_factory=list)  # (errnos, text), or ("", text)
    threads: str = ""

    def summary(self, function):
        return self.summaries.get(function, "")


@dataclass
class Function:
    name: str
    returns: str
    arguments: list  # of (declaration up to the name, name)
    comment: Comment
    line: int


@dataclass
class Page:
    functions: list
    section: "Section"

    @property
    def name(self):
        return self.functions[0].name


@dataclass
class Section:
    title: str
    comment: Comment
    pages: list = field(default_factory=list)


@dataclass
class Header:
    about: Comment
    sections: list = field(default_factory=list)
    types: dict = field(default_factory=dict)  # "struct barbuf_x": its text
    constants: dict = field(default_factory=dict)  # "BARBUF_X": its text

    @property
    def pages(self):
        return [page for section in self.sections for page in section.pages]

    @property
    def functions(self):
        return [function for page in self.pages for function in page.functions]


class HeaderError(Exception):
    pass


def comment_lines(text):
    """The lines of a comment without its dressing."""
    text = re.sub(r"^/\*+|\*/$", "", text)
    return [re.sub(r"^\s*\* ?", "", line).rstrip() for line in text.split("\n")]


def take_errors(text):
    """Split "-EA: text; -EB, -EC: text; those of the kernel" into items."""
    items = []
    for item in re.split(r";\s+(?:or )?(?=-E[A-Z0-9]|those |else |the kernel's)", text):
        item = item.strip().rstrip(".")
        found = re.match(rf"({ERRORS})(?:: | (?=as )|$)(.*)$", item, re.S)
        items.append((found[1], found[2]) if found else ("", item))
    return items


def add_paragraph(comment, text):
    """Sort a paragraph's sentences to where they belong."""
    text = " ".join(text.split())
    # What begins with a keyword goes on to the next keyword.
    for part in re.split(r"(?:^|(?<=[.?] ))(?=(?:Return|Errors|Threads): )", text):
        part = part.strip()
        keyword, _, rest = part.partition(": ")
        if keyword == "Threads":
            comment.threads = rest
        elif keyword == "Errors":
            comment.errors += take_errors(rest)
        elif keyword == "Return":
            sentences = re.split(rf"(?<=\.)\s+(?={ERRORS}:)|;\s+(?={ERRORS}:)", rest, maxsplit=1)
            comment.returns = sentences[0].rstrip(".;")
            comment.errors += take_errors(sentences[1]) if len(sentences) > 1 else []
        else:
            prose = []
            for sentence in re.split(r"(?<=[.?]) (?=\S)", part):
                if re.match(rf"{ERRORS}(: | as |; -E|\.$)", sentence):
                    comment.errors += take_errors(sentence)
                elif sentence:
                    prose.append(sentence)
            if prose:
                comment.paragraphs.append(" ".join(prose))


def read_comment(text, line):
    comment = Comment(line)
    paragraph = []
    lines = comment_lines(text) + [""]
    while lines:
        this = lines.pop(0)
        summary = re.match(r"(barbuf_\w+)\(\) - (.*)$", this)
        argument = re.match(r"(@\w+(?:, @\w+)*): (.*)$", this)
        if summary:
            comment.summaries[summary[1]] = summary[2]
            comment.kernel_doc = True
        elif argument:
            rest = [argument[2]]
            while lines[0].startswith("\t"):
                rest.append(lines.pop(0).strip())
            comment.arguments.append((argument[1], " ".join(rest)))
        elif this:
            paragraph.append(this)
        elif paragraph:
            add_paragraph(comment, "\n".join(paragraph))
            paragraph = []
    return comment


def first_clause(text):
    """A summary of a comment that has none: what stands before its first stop."""
    clause = re.split(r"[.;:?](?:\s|$)", text)[0]
    if clause[:2].istitle() or re.match(r"A ", clause):
        clause = clause[0].lower() + clause[1:]
    return clause


def read_function(code, comment, line):
    code = " ".join(code.split())
    found = re.match(r"(.*?[ *])(barbuf_\w+)\((.*)\);$", code)
    if not found:
        raise HeaderError(f"{line}: no function, type or constant: {code}")
    arguments = []
    for argument in found[3].split(", "):
        parts = re.match(r"(.*[ *])(\w+)$", argument)
        arguments.append((parts[1], parts[2]) if parts else (argument, ""))
    return Function(found[2], found[1], arguments, comment, line)


def items(text):
    """("comment" | "code" | "blank", text, line number) one after the other."""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        begin = number
        line = lines[number]
        number += 1
        if not line:
            yield "blank", "", begin + 1
        elif line.startswith("/*"):
            while "*/" not in lines[number - 1]:
                number += 1
            yield "comment", "\n".join(lines[begin:number]), begin + 1
        elif line.startswith("#"):
            while lines[number - 1].endswith("\\"):
                number += 1
            yield "code", "\n".join(lines[begin:number]), begin + 1
        else:
            while not re.match(r".*;$" if "{" not in line else r"};$", lines[number - 1]):
                number += 1
            yield "code", "\n".join(lines[begin:number]), begin + 1


def read(path):
    header = None
    section = page = comment = raw_comment = None
    with open(path, encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif\n", "\n", text, flags=re.S)
    for kind, code, line in items(text):
        if kind == "blank":
            page = comment = raw_comment = None
        elif kind == "comment":
            title = re.match(r"/\* -{8,} (.*?)(?: \*/)?$", code.split("\n")[0])
            if title:
                rest = code.split("\n", 1)[1:] or ["*/"]
                section = Section(title[1], read_comment("/*\n" + rest[0], line))
                header.sections.append(section)
            elif header is None and "SPDX" not in code:
                header = Header(read_comment(code, line))
            else:
                comment, raw_comment = read_comment(code, line), code
        elif code.startswith("#define BARBUF_") and code != "#define BARBUF_H":
            name = re.match(r"#define (\w+)", code)[1]
            header.constants[name] = "\n".join(filter(None, [raw_comment, code]))
            raw_comment = None
        elif code.startswith("#"):
            continue
        elif re.match(r"(struct|enum) \w+ \{", code):
            name = code.split(" {")[0]
            header.types[name] = "\n".join(filter(None, [raw_comment, code]))
            raw_comment = None
        elif re.match(r"struct \w+;$", code):
            continue
        else:
            if not section:
                raise HeaderError(f"{line}: a function before the first section")
            function = read_function(code, comment, line)
            if comment is None:
                raise HeaderError(f"{line}: {function.name}() has no comment")
            if not comment.summary(function.name):
                if comment.kernel_doc:
                    about = "(), ".join(comment.summaries)
                    raise HeaderError(f"{line}: {function.name}() has no comment: this one is on {about}()")
                if not comment.paragraphs and comment.returns:
                    comment.paragraphs.append(comment.returns[0].upper() + comment.returns[1:] + ".")
                    comment.returns = ""
                if not comment.paragraphs:
                    raise HeaderError(f"{line}: the comment of {function.name}() does not say what it does")
                comment.summaries[function.name] = first_clause(comment.paragraphs[0])
            if page is None:
                page = Page([], section)
                section.pages.append(page)
            page.functions.append(function)
    for function in header.functions:
        for named in function.comment.summaries:
            if named not in [f.name for f in header.functions]:
                raise HeaderError(f"{function.line}: a comment on {named}(), which is not declared")
        if function.comment.arguments:
            told = {n for names, _ in function.comment.arguments for n in re.findall(r"@(\w+)", names)}
            declared = {
                name for f in header.functions if f.comment is function.comment for _, name in f.arguments
            }
            for name in sorted(told - declared):
                raise HeaderError(f"{function.line}: {function.name}() has no argument '{name}'")
    return header


def read_or_exit(path):
    try:
        return read(path)
    except HeaderError as error:
        sys.exit(f"{path}:{error}")
