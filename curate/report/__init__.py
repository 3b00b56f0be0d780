"""The report: one file that says what a run came to, how sure one can be of that, and what else one could choose.

Nouns: `Facts` (numbers and rows of a run), `Document`, `Section`, `Chart` (what is shown, before it is drawn).
Law: the file acts on nothing and loads nothing; of what may be unsafe it holds a mosaic, unless more was asked for.

| module | does |
|---|---|
| write_report | the report of a run, by a child process, and what is said where there is none |
| facts | everything that is said, as numbers and rows |
| reading_rows, tallies | one pass over the annotation rows, and what it adds up |
| ledger | where each sample went |
| examples, pictures | rows that are shown, and what may be seen of them |
| pace, scores | measurements over time; an evaluation |
| reviews | what people said of the run |
| binomial | how many blind reviews a statement takes |
| shapes | sections, tables, charts, cards: what is shown |
| sections/ | one function for each part, from facts to what is shown |
| words | numbers in words; texts of others, bounded and harmless |
| drawing | charts as SVG, in a process of its own |
| page, templates/ | a document as one HTML file |
"""

__all__ = ("write_report",)
