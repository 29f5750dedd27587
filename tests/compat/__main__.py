"""`python -m tests.compat` prints the table of docs/emailengine.md."""

from tests.compat.contract import CONTRACT
from tests.compat.promises import row

if __name__ == "__main__":
    print(*map(row, CONTRACT), sep="\n")
