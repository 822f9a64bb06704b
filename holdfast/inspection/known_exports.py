"""Exports of known programs, recognized by their columns; each has a recipe in docs/recipes."""

from collections.abc import Collection

_COLUMNS = {
    "shopify-orders": ("Financial Status", "Lineitem quantity", "Lineitem price"),
    "woocommerce": ("order_total", "billing_email", "order_currency"),
    "stripe-charges": ("Amount Refunded", "Converted Amount", "Captured"),
    "magento": ("Purchase Point", "Grand Total (Base)", "Grand Total (Purchased)"),
    "square": ("Gross Sales", "Net Sales", "Event Type"),
    "uci-online-retail": ("StockCode", "Quantity", "InvoiceDate", "Country"),
    "olist": ("order_id", "order_purchase_timestamp", "order_approved_at"),
}


def find_recipe(columns: Collection[str]) -> str:
    """Find the recipe for an export.

    Args:
        columns: Columns of the source.

    Returns:
        Path of the recipe in the repository; "" for an unknown export.
    """
    for name, required in _COLUMNS.items():
        if set(required) <= set(columns):
            return f"docs/recipes/{name}.md"
    return ""
