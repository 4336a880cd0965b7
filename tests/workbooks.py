"""Workbooks as spreadsheet programs save them."""

import datetime
import io
import zipfile


def workbook(*sheets, extra=()):
    """The bytes of an .xlsx file of sheets of rows: numbers, text, booleans and dates."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        kinds, entries, relations = "", "", ""
        for i, rows in enumerate(sheets, start=1):
            part = f"worksheets/sheet{i}.xml"
            form = "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"
            kinds += f'<Override PartName="/xl/{part}" ContentType="{form}"/>'
            entries += f'<sheet name="S{i}" sheetId="{i}" r:id="rId{i}"/>'
            relations += (
                f'<Relationship Id="rId{i}" Target="{part}" '
                f'Type="{OFFICE}/officeDocument/2006/relationships/worksheet"/>'
            )
            archive.writestr(f"xl/{part}", sheet(rows))
        styles = f"{OFFICE}/officeDocument/2006/relationships/styles"
        relations += f'<Relationship Id="s" Target="styles.xml" Type="{styles}"/>'
        archive.writestr("xl/styles.xml", STYLES)
        archive.writestr(
            "[Content_Types].xml", f'<Types xmlns="{PACKAGE}/content-types">{kinds}</Types>'
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="w" '
            f'Target="xl/workbook.xml" Type="{OFFICE}/officeDocument/2006/relationships/'
            'officeDocument"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}/officeDocument/2006/relationships">'
            f"<sheets>{entries}</sheets></workbook>",
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships">{relations}</Relationships>',
        )
        for name, content in extra:
            archive.writestr(name, content)
    return stream.getvalue()


OFFICE = "http://schemas.openxmlformats.org"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STYLES = (
    f'<styleSheet xmlns="{MAIN}"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/>'
    "</cellXfs></styleSheet>"
)


def sheet(rows):
    lines = ""
    for i, row in enumerate(rows, start=1):
        lines += f'<row r="{i}">'
        for j, cell in enumerate(row):
            place = f'r="{chr(65 + j)}{i}"'
            if isinstance(cell, bool):
                lines += f'<c {place} t="b"><v>{int(cell)}</v></c>'
            elif isinstance(cell, datetime.date):
                days = (cell - datetime.date(1899, 12, 30)).days
                lines += f'<c {place} s="1"><v>{days}</v></c>'
            elif isinstance(cell, str):
                lines += f'<c {place} t="inlineStr"><is><t>{cell}</t></is></c>'
            elif cell is not None:
                lines += f"<c {place}><v>{cell}</v></c>"
        lines += "</row>"
    return f'<worksheet xmlns="{MAIN}"><sheetData>{lines}</sheetData></worksheet>'
